package secretsguard

// Sets of bytes that the body of a key is made of.
const (
	lowerHex = 1 << iota
	digit
	upper
	lower
	dash  // - and _
	dot   // .
	other // + / =
	colon
)

const (
	alnum = digit | upper | lower
	word  = alnum | dash
	b64   = alnum | other | dash
)

var kinds = func() (t [256]uint16) {
	for c := range 256 {
		switch {
		case c >= '0' && c <= '9':
			t[c] = digit | lowerHex
		case c >= 'a' && c <= 'z':
			t[c] = lower
			if c <= 'f' {
				t[c] |= lowerHex
			}
		case c >= 'A' && c <= 'Z':
			t[c] = upper
		}
	}
	t['-'], t['_'] = dash, dash
	t['.'], t[':'] = dot, colon
	t['+'], t['/'], t['='] = other, other, other
	return
}()

// format is a key that tells by its prefix what it is: prefix, then least to most bytes of a set. Sources: the
// providers' documentation of their token formats.
type format struct {
	prefix      string
	least, most int
	set         uint16
	entity      string
	rule        string
}

var formats = []format{
	{"AKIA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"}, {"ASIA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"},
	{"ABIA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"}, {"ACCA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"},
	{"AGPA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"}, {"AROA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"},
	{"AIDA", 16, 16, upper | digit, "AWS_KEY", "aws.access-key-id"}, {"A3T", 17, 17, upper | digit, "AWS_KEY", "aws.access-key-id"},
	{"ABSK", 80, 300, b64, "AWS_KEY", "aws.bedrock"},
	{"AIza", 33, 40, word, "GOOGLE_KEY", "google.api-key"}, {"ya29.", 20, 2048, word | dot, "GOOGLE_KEY", "google.oauth-token"},
	{"GOCSPX-", 24, 40, word, "GOOGLE_KEY", "google.client-secret"}, {"1//0", 30, 200, word, "GOOGLE_KEY", "google.refresh-token"},
	{"ghp_", 30, 255, alnum, "GITHUB_TOKEN", "github.pat"}, {"gho_", 30, 255, alnum, "GITHUB_TOKEN", "github.oauth"},
	{"ghu_", 30, 255, alnum, "GITHUB_TOKEN", "github.user"}, {"ghs_", 30, 255, alnum, "GITHUB_TOKEN", "github.server"},
	{"ghr_", 30, 255, alnum, "GITHUB_TOKEN", "github.refresh"}, {"github_pat_", 50, 255, alnum | dash, "GITHUB_TOKEN", "github.fine-grained"},
	{"glpat-", 18, 300, word | dot, "GITLAB_TOKEN", "gitlab.pat"}, {"gldt-", 18, 64, word, "GITLAB_TOKEN", "gitlab.deploy"},
	{"glptt-", 30, 64, word, "GITLAB_TOKEN", "gitlab.trigger"}, {"glrt-", 18, 64, word | dot, "GITLAB_TOKEN", "gitlab.runner"},
	{"GR1348941", 18, 40, word, "GITLAB_TOKEN", "gitlab.runner"}, {"glsoat-", 18, 64, word, "GITLAB_TOKEN", "gitlab.scim"},
	{"glft-", 18, 64, word, "GITLAB_TOKEN", "gitlab.feed"}, {"glcbt-", 18, 80, word, "GITLAB_TOKEN", "gitlab.ci"}, {"glagent-", 40, 80, word, "GITLAB_TOKEN", "gitlab.agent"},
	{"xoxb-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.bot"}, {"xoxp-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.user"},
	{"xoxa-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.app"}, {"xoxr-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.refresh"},
	{"xoxs-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.session"}, {"xoxo-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.legacy"},
	{"xoxe-", 20, 300, alnum | dash | dot, "SLACK_TOKEN", "slack.config"}, {"xoxe.", 20, 300, alnum | dash | dot, "SLACK_TOKEN", "slack.config"},
	{"xapp-", 20, 200, alnum | dash, "SLACK_TOKEN", "slack.app-level"},
	{"sk_live_", 10, 200, alnum, "STRIPE_KEY", "stripe.secret"}, {"sk_test_", 10, 200, alnum, "STRIPE_KEY", "stripe.secret"},
	{"rk_live_", 10, 200, alnum, "STRIPE_KEY", "stripe.restricted"}, {"rk_test_", 10, 200, alnum, "STRIPE_KEY", "stripe.restricted"},
	{"sk_prod_", 10, 200, alnum, "STRIPE_KEY", "stripe.secret"}, {"rk_prod_", 10, 200, alnum, "STRIPE_KEY", "stripe.restricted"},
	{"whsec_", 24, 100, b64, "STRIPE_KEY", "stripe.webhook"},
	{"sk-ant-", 20, 200, word, "ANTHROPIC_KEY", "anthropic.api-key"}, {"sk-or-v1-", 40, 100, word, "API_KEY", "openrouter.api-key"},
	{"sk-proj-", 20, 300, word, "OPENAI_KEY", "openai.project"}, {"sk-svcacct-", 20, 300, word, "OPENAI_KEY", "openai.service"},
	{"sk-admin-", 20, 300, word, "OPENAI_KEY", "openai.admin"}, {"sk-", 32, 200, word, "OPENAI_KEY", "openai.api-key"},
	{"hf_", 30, 60, alnum, "API_KEY", "huggingface.token"}, {"api_org_", 30, 60, alnum, "API_KEY", "huggingface.org"},
	{"gsk_", 40, 80, alnum, "API_KEY", "groq.api-key"}, {"pplx-", 40, 80, alnum, "API_KEY", "perplexity.api-key"}, {"r8_", 36, 40, alnum, "API_KEY", "replicate.token"},
	{"xai-", 60, 100, alnum, "API_KEY", "xai.api-key"}, {"nvapi-", 50, 90, word, "API_KEY", "nvidia.api-key"},
	{"SG.", 50, 90, word | dot, "API_KEY", "sendgrid.api-key"}, {"key-", 32, 32, lowerHex, "API_KEY", "mailgun.api-key"},
	{"xkeysib-", 60, 100, alnum | dash, "API_KEY", "brevo.api-key"}, {"xsmtpsib-", 60, 100, alnum | dash, "API_KEY", "brevo.smtp"},
	{"npm_", 30, 60, alnum, "API_KEY", "npm.token"}, {"pypi-AgE", 50, 300, word, "API_KEY", "pypi.token"}, {"pypi-", 50, 300, word, "API_KEY", "pypi.token"},
	{"rubygems_", 40, 60, lowerHex, "API_KEY", "rubygems.token"}, {"cio", 32, 32, alnum, "API_KEY", "crates.token"}, {"oy2", 43, 43, lower | digit, "API_KEY", "nuget.api-key"},
	{"dckr_pat_", 20, 60, word, "API_KEY", "docker.pat"}, {"dckr_oat_", 20, 60, word, "API_KEY", "docker.oat"},
	{"dop_v1_", 64, 64, lowerHex, "API_KEY", "digitalocean.pat"}, {"doo_v1_", 64, 64, lowerHex, "API_KEY", "digitalocean.oauth"}, {"dor_v1_", 64, 64, lowerHex, "API_KEY", "digitalocean.refresh"},
	{"shpat_", 32, 32, alnum, "API_KEY", "shopify.access"}, {"shpca_", 32, 32, alnum, "API_KEY", "shopify.custom"}, {"shppa_", 32, 32, alnum, "API_KEY", "shopify.private"}, {"shpss_", 32, 32, alnum, "API_KEY", "shopify.secret"},
	{"sq0atp-", 20, 60, word, "API_KEY", "square.access"}, {"sq0csp-", 40, 60, word, "API_KEY", "square.secret"}, {"EAAA", 56, 64, word, "API_KEY", "square.access"},
	{"EAAC", 60, 300, alnum, "API_KEY", "facebook.token"}, {"EAAD", 60, 300, alnum, "API_KEY", "facebook.token"},
	{"hvs.", 20, 300, word, "API_KEY", "vault.service"}, {"hvb.", 20, 300, word, "API_KEY", "vault.batch"}, {"hvr.", 20, 300, word, "API_KEY", "vault.recovery"},
	{"PMAK-", 50, 70, alnum | dash, "API_KEY", "postman.api-key"}, {"dapi", 32, 36, lowerHex | dash, "API_KEY", "databricks.token"},
	{"NRAK-", 27, 27, upper | digit, "API_KEY", "newrelic.api-key"}, {"NRJS-", 19, 19, lowerHex, "API_KEY", "newrelic.browser"}, {"NRII-", 32, 32, word, "API_KEY", "newrelic.insert"},
	{"glsa_", 32, 60, alnum | dash, "API_KEY", "grafana.service"}, {"glc_", 32, 400, b64, "API_KEY", "grafana.cloud"},
	{"lin_api_", 38, 44, alnum, "API_KEY", "linear.api-key"}, {"lin_oauth_", 30, 64, alnum, "API_KEY", "linear.oauth"}, {"secret_", 40, 50, alnum, "API_KEY", "notion.token"}, {"ntn_", 40, 50, alnum, "API_KEY", "notion.token"},
	{"pscale_tkn_", 30, 64, word | dot, "API_KEY", "planetscale.token"}, {"pscale_pw_", 30, 64, word | dot, "API_KEY", "planetscale.password"}, {"pscale_oauth_", 30, 64, word | dot, "API_KEY", "planetscale.oauth"},
	{"tskey-", 20, 80, word, "API_KEY", "tailscale.key"}, {"figd_", 30, 60, word, "API_KEY", "figma.token"}, {"patX", 14, 90, alnum | dot, "API_KEY", "airtable.token"},
	{"sntrys_", 40, 300, b64, "API_KEY", "sentry.token"}, {"sntryu_", 60, 70, lowerHex, "API_KEY", "sentry.user"}, {"pul-", 40, 40, lowerHex, "API_KEY", "pulumi.token"}, {"dp.pt.", 40, 46, alnum, "API_KEY", "doppler.token"}, {"dp.st.", 40, 80, word | dot, "API_KEY", "doppler.service"},
	{"sbp_", 40, 40, lowerHex, "API_KEY", "supabase.token"}, {"sb_secret_", 20, 60, word, "API_KEY", "supabase.secret"}, {"rnd_", 32, 32, alnum, "API_KEY", "render.api-key"}, {"fo1_", 40, 60, word, "API_KEY", "fly.token"},
	{"ATATT3", 180, 200, b64, "API_KEY", "atlassian.token"}, {"ATBB", 28, 40, alnum, "API_KEY", "bitbucket.app-password"}, {"ATCTT3", 180, 200, b64, "API_KEY", "atlassian.token"},
	{"AKCp", 65, 80, alnum, "API_KEY", "artifactory.key"}, {"cmVmd", 59, 64, alnum, "API_KEY", "artifactory.reference"},
	{"HRKU-", 36, 70, word, "API_KEY", "heroku.api-key"}, {"bkua_", 40, 40, lowerHex, "API_KEY", "buildkite.token"}, {"CFPAT-", 43, 43, word, "API_KEY", "contentful.token"}, {"v1.0-", 140, 200, alnum | dash, "API_KEY", "cloudflare.origin-ca"},
	{"AGE-SECRET-KEY-1", 58, 58, upper | digit, "PRIVATE_KEY", "age.secret-key"}, {"LTAI", 16, 24, alnum, "API_KEY", "alibaba.access-key"}, {"AKID", 32, 32, alnum, "API_KEY", "tencent.secret-id"},
	{"p8e-", 32, 32, alnum, "API_KEY", "adobe.secret"}, {"duffel_", 40, 60, word, "API_KEY", "duffel.token"}, {"EZAK", 54, 54, alnum, "API_KEY", "easypost.token"}, {"EZTK", 54, 54, alnum, "API_KEY", "easypost.token"},
	{"live_", 35, 60, alnum, "API_KEY", "provider.live-key"}, {"SK", 32, 32, lowerHex, "API_KEY", "twilio.api-key"}, {"eyJrIjoi", 60, 400, alnum | other, "API_KEY", "grafana.api-key"},
	{"sl.", 130, 1400, word, "API_KEY", "dropbox.token"}, {"sl.u.", 130, 1400, word, "API_KEY", "dropbox.token"}, {"AQVN", 35, 64, word, "API_KEY", "yandex.api-key"}, {"t1.", 80, 1400, word | other | dot, "API_KEY", "yandex.iam"},
	{"ops_eyJ", 200, 2000, b64, "API_KEY", "1password.service"}, {"A3-", 30, 40, upper | digit | dash, "API_KEY", "1password.secret-key"}, {"FLWSECK_TEST-", 12, 40, alnum | dash, "API_KEY", "flutterwave.secret"}, {"FLWSECK-", 12, 60, alnum | dash, "API_KEY", "flutterwave.secret"}, {"pnu_", 36, 36, alnum, "API_KEY", "prefect.token"}, {"rdme_", 70, 70, alnum, "API_KEY", "readme.token"}, {"shippo_live_", 40, 40, lowerHex, "API_KEY", "shippo.token"}, {"shippo_test_", 40, 40, lowerHex, "API_KEY", "shippo.token"},
	{"SCW", 17, 17, upper | digit, "API_KEY", "scaleway.access-key"}, {"pat_", 40, 80, word, "API_KEY", "provider.pat"}, {"phc_", 40, 50, alnum, "API_KEY", "posthog.key"}, {"phx_", 40, 50, alnum, "API_KEY", "posthog.key"}, {"tfp_", 40, 70, word, "API_KEY", "typeform.token"},
	{"ApiKey-", 30, 80, word, "API_KEY", "provider.api-key"}, {"sgp_", 40, 70, alnum | dash, "API_KEY", "sourcegraph.token"}, {"m0-", 36, 44, alnum, "API_KEY", "mem0.api-key"}, {"tvly-", 28, 60, word, "API_KEY", "tavily.api-key"}, {"lsv2_", 40, 60, word, "API_KEY", "langsmith.api-key"}, {"fw_", 22, 30, alnum, "API_KEY", "fireworks.api-key"}, {"pcsk_", 60, 80, word, "API_KEY", "pinecone.api-key"}, {"jina_", 50, 70, word, "API_KEY", "jina.api-key"}, {"ctx7sk", 20, 60, word, "API_KEY", "context7.api-key"},
}

// byFirst has the formats by their first byte.
var byFirst = func() (t [256][]format) {
	for _, f := range formats {
		if f.entity != "" {
			t[f.prefix[0]] = append(t[f.prefix[0]], f)
		}
	}
	for c := range t { // the longest prefix speaks first
		l := t[c]
		for i := 1; i < len(l); i++ {
			for j := i; j > 0 && len(l[j].prefix) > len(l[j-1].prefix); j-- {
				l[j], l[j-1] = l[j-1], l[j]
			}
		}
	}
	return
}()
