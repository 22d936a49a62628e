package sets

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	digits  = "0123456789"
	lowers  = "abcdefghijklmnopqrstuvwxyz"
	uppers  = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	alnums  = digits + lowers + uppers
	hexes   = "0123456789abcdef"
	words64 = alnums + "-_"
)

// keyKinds are the forms of keys that providers give out.
var keyKinds = []func(g gen) string{
	func(g gen) string { return "AKIA" + g.chars(uppers+"234567", 16) },
	func(g gen) string { return "ASIA" + g.chars(uppers+"234567", 16) },
	func(g gen) string { return "AIza" + g.chars(words64, 35) },
	func(g gen) string { return "ghp_" + g.chars(alnums, 36) },
	func(g gen) string { return "gho_" + g.chars(alnums, 36) },
	func(g gen) string { return "github_pat_" + g.chars(alnums, 22) + "_" + g.chars(alnums, 59) },
	func(g gen) string { return "glpat-" + g.chars(words64[:62], 20) },
	func(g gen) string {
		return "xoxb-" + g.chars(digits, 12) + "-" + g.chars(digits, 12) + "-" + g.chars(alnums, 24)
	},
	func(g gen) string { return "sk_live_" + g.chars(alnums, 24) },
	func(g gen) string { return "rk_live_" + g.chars(alnums, 24) },
	func(g gen) string { return "sk-" + g.chars(alnums, 20) + "T3BlbkFJ" + g.chars(alnums, 20) },
	func(g gen) string { return "sk-proj-" + g.chars(words64[:62], 64) },
	func(g gen) string { return "sk-ant-api03-" + g.chars(words64[:62], 93) + "AA" },
	func(g gen) string { return "SG." + g.chars(alnums, 22) + "." + g.chars(alnums, 43) },
	func(g gen) string { return "hf_" + g.chars(alnums[10:], 34) },
	func(g gen) string { return "npm_" + g.chars(alnums, 36) },
	func(g gen) string { return "pypi-AgEIcHlwaS5vcmc" + g.chars(alnums, 80) },
	func(g gen) string { return "dop_v1_" + g.chars(hexes, 64) },
	func(g gen) string { return "shpat_" + g.chars(hexes, 32) },
	func(g gen) string { return "hvs." + g.chars(words64[:62], 90) },
	func(g gen) string { return "SK" + g.chars(hexes, 32) },
	func(g gen) string { return "key-" + g.chars(hexes, 32) },
	func(g gen) string { return "glsa_" + g.chars(alnums, 32) + "_" + g.chars(hexes, 8) },
	func(g gen) string { return "dckr_pat_" + g.chars(alnums, 27) },
	func(g gen) string { return "ya29." + g.chars(words64[:62], 120) },
	func(g gen) string { return jwt(g) },
}

func jwt(g gen) string {
	enc := base64.RawURLEncoding.EncodeToString
	return enc([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + enc([]byte(fmt.Sprintf(`{"sub":"%d","iat":%d}`, g.IntN(1e9), 1.6e9+g.IntN(1e8)))) + "." + g.chars(alnums, 43)
}

func pemKey(g gen) string {
	kind := g.pick([]string{"RSA ", "EC ", "OPENSSH ", "", "DSA ", "ENCRYPTED "})
	var b strings.Builder
	b.WriteString("-----BEGIN " + kind + "PRIVATE KEY-----\n")
	for range 3 + g.IntN(20) {
		b.WriteString(g.chars(alnums+"+/", 64) + "\n")
	}
	b.WriteString("-----END " + kind + "PRIVATE KEY-----")
	return b.String()
}

func connection(g gen) string {
	return g.pick([]string{"postgres", "postgresql", "mysql", "mongodb+srv", "redis", "amqp", "https", "ftp", "mssql"}) + "://" + g.pick([]string{"admin", "app", "root", "svc_backup", "deploy"}) +
		":" + g.chars(alnums, 9+g.IntN(10)) + "@" + g.pick([]string{"db.internal", "10.2.3.4", "cluster0.mongo.net", "redis-01.prod.corp"}) + ":" + g.pick([]string{"5432", "3306", "27017"}) + "/" + g.pick([]string{"app", "orders", "main"})
}

func secretFor(g gen, name string) string {
	switch name {
	case "KEY":
		return keyKinds[g.IntN(len(keyKinds))](g)
	case "PEM":
		return pemKey(g)
	case "CONN":
		return connection(g)
	case "PASS":
		switch g.IntN(3) {
		case 0:
			return g.chars(lowers, 5) + g.chars(uppers, 1) + g.chars(digits, 2) + g.chars("!#%*?", 1)
		case 1:
			return g.pick([]string{"Winter", "Tiger", "Orange", "hunter", "Monkey"}) + g.chars(digits, 4) + g.chars("!#$%", 1)
		}
		return g.chars(alnums, 6) + g.chars("!#%^*_-", 1) + g.chars(alnums, 7) + "9"
	case "RAND":
		if g.IntN(2) == 0 {
			return g.chars(hexes, 32+8*g.IntN(3)) + "9f"
		}
		return g.chars(alnums, 24+g.IntN(20)) + "7"
	case "AWSSECRET":
		return g.chars(alnums+"+/", 39) + "4"
	case "hash":
		return g.chars(hexes, g.pick2(40, 64))
	case "uuid":
		h := g.chars(hexes, 32)
		return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-a" + h[17:20] + "-" + h[20:]
	case "word":
		return g.pick([]string{"orders", "billing", "frontend", "search", "worker"})
	case "b64":
		return base64.StdEncoding.EncodeToString([]byte("The quick brown fox jumps over " + g.chars(lowers, 12)))
	case "bin":
		b := make([]byte, 48)
		for i := range b {
			b[i] = byte(g.IntN(256))
		}
		return base64.StdEncoding.EncodeToString(b)
	case "colour":
		return hex.EncodeToString([]byte{byte(g.IntN(256)), byte(g.IntN(256)), byte(g.IntN(256))})
	}
	panic(name)
}

func (g gen) pick2(a, b int) int {
	if g.IntN(2) == 0 {
		return a
	}
	return b
}

var secretTemplates = []string{
	"export API_KEY={{KEY}}", "here is my token {{KEY}} please debug", `{"api_key": "{{KEY}}"}`, "curl -H 'Authorization: Bearer {{KEY}}' https://api.corp.io/v1/me",
	"config:\n  credentials:\n    token: {{KEY}}\n", "I accidentally committed {{KEY}} to the repo, what now?", "client = Client('{{KEY}}')", "KEY={{KEY}};REGION=eu-west-1",
	"The deploy failed, log says key {{KEY}} was rejected.", "# .env\nSTRIPE={{KEY}}\nDEBUG=1", "<add key=\"ApiKey\" value=\"{{KEY}}\"/>", "https://api.corp.io/v1/data?token={{KEY}}",
	"my key:\n\n{{PEM}}\n\nthanks", "{{PEM}}", "id_rsa contents:\n{{PEM}}", "tls.key: |\n{{PEM}}\n",
	"DATABASE_URL={{CONN}}", "connect with {{CONN}} and run the migration", `dsn = "{{CONN}}"`, "celery -b {{CONN}} worker",
	"password = \"{{PASS}}\"", "DB_PASSWORD={{PASS}}", "my password is {{PASS}}, can you check it?", "password: {{PASS}}", "login: admin, password: {{PASS}}", "smtp_pass: '{{PASS}}'",
	`"passwd": "{{PASS}}",`, "<password>{{PASS}}</password>", "mysql --password={{PASS}} -u root", "The wifi password is {{PASS}}", "user=svc;Password={{PASS}};Server=db1", "Passwort: {{PASS}}",
	"aws_secret_access_key = {{AWSSECRET}}", "AWS_SECRET_ACCESS_KEY={{AWSSECRET}}", `secretAccessKey: "{{AWSSECRET}}"`, `"aws_secret_key": "{{AWSSECRET}}"`,
	"client_secret: {{RAND}}", "auth_token = '{{RAND}}'", "SECRET_KEY=\"{{RAND}}\"", "x-api-key: {{RAND}}", "apiKey: '{{RAND}}'", "access_token={{RAND}}&scope=all", `"webhookSecret": "{{RAND}}"`, "ENCRYPTION_KEY: {{RAND}}",
}

var secretNegatives = []string{
	"commit {{hash}} fixes the login page", "sha256:{{hash}}", "checksum {{hash}}  ledge.tar.gz", "request id {{uuid}} failed", "X-Request-Id: {{uuid}}", "uuid: {{uuid}}",
	"password = os.environ['DB_PASSWORD']", "password: ${DB_PASSWORD}", "api_key = config.get('api_key')", "API_KEY=<your api key>", "token: your_token_here", "export AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
	"Your password must be at least 12 characters long.", "I forgot my password, how do I reset it?", "The token limit of the model is 8192 tokens.", "What is the difference between a secret and a config map?",
	"ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAABAQ{{bin}} user@host", "-----BEGIN PUBLIC KEY-----\n{{bin}}\n-----END PUBLIC KEY-----", "-----BEGIN CERTIFICATE-----\n{{bin}}\n-----END CERTIFICATE-----", "integrity=\"sha384-{{bin}}\"",
	"postgres://user:password@localhost/db", "postgres://localhost:5432/{{word}}", "https://example.com/a?b=c", "redis://${USER}:${PASS}@host", "mysql://root:<password>@127.0.0.1/", "visit https://git.corp.io/team/{{word}}:8080/@latest",
	"data:image/png;base64,iVBORw0KGgo{{bin}}", "background: #{{colour}};", "the key is under the mat", "the key idea: compare tokens one by one", "secret santa is on Friday", "public_key = {{hash}}",
	"def check_password(password: str) -> bool:", "if (token === null) return;", "const token = await getToken();", "password=********", "secret: REDACTED", "api_key=xxxxxxxxxxxxxxxxxxxxxxxx",
	"sk_live_ keys start with sk_live_, test keys with sk_test_.", "sk-your-api-key-goes-here-please-replace", "ghp_ is the prefix of personal access tokens.", "Authorization: Bearer <token>", "Authorization: Bearer $TOKEN", "password_hash = sha256(salt)",
	"SELECT password FROM users WHERE id = 7", "passwordField.setText(\"\")", "class TokenParser:\n    token_type = 'word'", "tokens = tokenizer.encode(text)", "The access token expires after 3600 seconds", "author: jane, auth: none",
	"echo {{b64}} | base64 -d", "the file dist/assets/index-{{colour}}.js is 20 kB", "arn:aws:iam::123456789012:role/{{word}}", "npm ERR! integrity sha512-{{bin}}", "docker pull corp/{{word}}@sha256:{{hash}}", "etag: \"{{hash}}\"",
}

// Secrets is the set of the secrets guard: about as many texts without a secret as with one.
func Secrets(s Split) (out []Case) {
	g := newGen(s, 11)
	for _, t := range half(s, secretTemplates) {
		for range 14 {
			c := fill(marks(t), func(n string) string { return secretFor(g, n) })
			out = append(out, c)
		}
	}
	for _, t := range half(s, secretNegatives) {
		for range 11 {
			c := fill(marks(t), func(n string) string { return secretFor(g, n) })
			out = append(out, c)
		}
	}
	return out
}
