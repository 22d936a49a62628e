package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ledge-run/ledge/hosts/edge"
	"github.com/ledge-run/ledge/runtime/config"
	"github.com/ledge-run/ledge/runtime/identity"
)

func newKeyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "key",
		Short: "Make, list and revoke API keys",
		Long: "Make, list and revoke API keys. A running appliance takes a change at once; when none runs, the state directory is\n" +
			"changed. Keys count where the configuration asks for credentials (auth). A key's text is shown once, when it is made;\n" +
			"what is kept is its hash.",
		Example: "  ledge key add --tenant acme --name ci\n  ledge key ls\n  ledge key revoke 4xj2c6k3ngqtsy7p",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newKeyAddCommand(), newKeyListCommand(), newKeyRevokeCommand())
	return c
}

// withKeys does something with the keys of an appliance that does not run.
func withKeys(ctx context.Context, cfg *config.Config, do func(*identity.Keys) error) error {
	store, err := offline(cfg)
	if err != nil {
		return err
	}
	keys, err := identity.OpenKeys(ctx, store.Meta())
	if err == nil {
		err = do(keys)
	}
	return errors.Join(err, store.Close())
}

func newKeyAddCommand() *cobra.Command {
	var f adminFlags
	var key identity.Key
	var expires time.Duration
	c := &cobra.Command{
		Use:   "add",
		Short: "Make an API key and show it, once",
		Long: "Make an API key and show it, once.\n\nRoles: " + strings.Join(identity.Roles, ", ") + ".\n" +
			"admin opens the tenant's keys, traces and usage on the administration address; operator opens everything.",
		Example: "  ledge key add --tenant acme --subject robot-7 --expires 2160h\n" +
			"  ledge key add --tenant acme --role chat --model support --json",
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.site.appliance(c.Context(), f.admin)
			if err != nil {
				return err
			}
			if expires < 0 {
				return usagef("--expires %s is not above 0", expires)
			}
			if expires > 0 {
				key.Expires = time.Now().Add(expires).UTC().Truncate(time.Second)
			}
			var made edge.NewKey
			err = askAdmin(c.Context(), cfg, "POST", "/admin/v1/keys", key, &made)
			if errors.Is(err, errNotRunning) {
				err = withKeys(c.Context(), cfg, func(keys *identity.Keys) (err error) {
					made.Key, made.Text, err = keys.Add(c.Context(), key, time.Now())
					return err
				})
			}
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), made)
			}
			w := c.OutOrStdout()
			fmt.Fprintf(w, "%s\n\nid %s, tenant %s, roles %s. This is the only time the key is shown.\n", made.Text, made.ID, made.Tenant, strings.Join(made.Roles, ", "))
			if !cfg.Auth.Required() {
				fmt.Fprintln(w, "This configuration does not ask for credentials: set auth: {keys: true} in it.")
			}
			return nil
		},
	}
	f.register(c)
	c.Flags().StringVar(&key.Tenant, "tenant", identity.DefaultTenant, "`TENANT` that the key belongs to")
	c.Flags().StringVar(&key.Subject, "subject", "", "`USER` that the key stands for (default: the key itself)")
	c.Flags().StringVar(&key.Name, "name", "", "`NAME` to know the key by")
	c.Flags().StringSliceVar(&key.Roles, "role", nil, "`ROLE` that the key has; may be repeated (default chat, embed)")
	c.Flags().StringSliceVar(&key.Groups, "group", nil, "`GROUP` whose documents the key may read; may be repeated")
	c.Flags().StringSliceVar(&key.Models, "allow", nil, "route or model, by `NAME`, that the key may be used for; may be repeated (default: all)")
	c.Flags().StringVar(&key.Clearance, "clearance", "", "highest classification the key may read: "+strings.Join(identity.Clearances, ", "))
	c.Flags().StringVar(&key.Purpose, "purpose", "", "`PURPOSE` that the key may use documents for")
	c.Flags().DurationVar(&expires, "expires", 0, "end of the key, as `DURATION` from now (default: never)")
	return c
}

func newKeyListCommand() *cobra.Command {
	var f adminFlags
	var tenant string
	c := &cobra.Command{
		Use:     "ls",
		Short:   "List the API keys",
		Example: "  ledge key ls --tenant acme --json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := f.site.appliance(c.Context(), f.admin)
			if err != nil {
				return err
			}
			var answer struct{ Keys []identity.Key }
			err = askAdmin(c.Context(), cfg, "GET", "/admin/v1/keys?tenant="+url.QueryEscape(tenant), nil, &answer)
			if errors.Is(err, errNotRunning) {
				err = withKeys(c.Context(), cfg, func(keys *identity.Keys) error {
					answer.Keys = keys.List(tenant)
					return nil
				})
			}
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), answer.Keys)
			}
			return listKeys(c.OutOrStdout(), answer.Keys, time.Now())
		},
	}
	f.register(c)
	c.Flags().StringVar(&tenant, "tenant", "", "only keys of this `TENANT`")
	return c
}

func listKeys(w io.Writer, keys []identity.Key, now time.Time) error {
	if len(keys) == 0 {
		fmt.Fprintln(w, "no keys; ledge key add makes one")
		return nil
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tab, "ID\tNAME\tTENANT\tSUBJECT\tROLES\tCREATED\tSTATE")
	for _, k := range keys {
		state := "good"
		switch {
		case !k.Revoked.IsZero():
			state = "revoked " + k.Revoked.Local().Format(time.DateOnly)
		case !k.Expires.IsZero() && !now.Before(k.Expires):
			state = "expired " + k.Expires.Local().Format(time.DateOnly)
		case !k.Expires.IsZero():
			state = "until " + k.Expires.Local().Format(time.DateOnly)
		}
		fmt.Fprintf(tab, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Tenant, k.Subject, strings.Join(k.Roles, ","), k.Created.Local().Format(time.DateOnly), state)
	}
	return tab.Flush()
}

func newKeyRevokeCommand() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:     "revoke ID",
		Short:   "End an API key, at once and for good",
		Example: "  ledge key revoke 4xj2c6k3ngqtsy7p",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			cfg, err := f.site.appliance(c.Context(), f.admin)
			if err != nil {
				return err
			}
			var key identity.Key
			err = askAdmin(c.Context(), cfg, "DELETE", "/admin/v1/keys/"+url.PathEscape(args[0]), nil, &key)
			if errors.Is(err, errNotRunning) {
				err = withKeys(c.Context(), cfg, func(keys *identity.Keys) (err error) {
					key, err = keys.Revoke(c.Context(), args[0], time.Now())
					return err
				})
			}
			if err != nil {
				return err
			}
			if f.json {
				return printJSON(c.OutOrStdout(), key)
			}
			fmt.Fprintf(c.OutOrStdout(), "the key %s of %s is revoked\n", key.ID, key.Tenant)
			return nil
		},
	}
	f.register(c)
	return c
}
