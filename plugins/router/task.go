package router

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

var tasks = []string{classify, extract, summarise, analyse, draft}

// stems are the beginnings of words that name a task, in lower case, in English, German, French, Spanish, Italian and
// Portuguese. A stem that ends in a space must be the whole word.
var stems = map[string][]string{
	classify: {"classif", "categori", "sentiment", "label ", "klassifi", "kategori", "einordne", "étiquet", "etiquet", "clasific"},
	extract:  {"extract", "extrah", "extrai", "extrae", "find all", "list all", "auslesen", "entnimm", "relève", "estrai"},
	summarise: {"summar", "tl;dr", "tldr", "recap", "condense", "zusammenfass", "zusammengefasst", "fasse ", "fass ", "kurzfassung",
		"résum", "resum", "synthétis", "riassum", "riassunt", "sintetiza"},
	analyse: {"analy", "compare", "evaluat", "assess", "explain why", "reason ", "prove ", "debug", "vergleich", "bewert", "beurteil",
		"untersuch", "begründ", "anali", "compar", "évalu", "evalú", "evalu", "explique pourquoi", "confront", "valut"},
	draft: {"write ", "draft", "compose", "essay", "schreib", "verfass", "entwirf", "formulier", "rédig", "écri", "escrib", "redact", "scriv", "escrev"},
}

// byLetter indexes stems by their first byte.
var byLetter = func() (index [256][]stem) {
	for _, task := range tasks {
		for _, s := range stems[task] {
			index[s[0]] = append(index[s[0]], stem{s, task})
		}
	}
	return index
}()

type stem struct{ text, task string }

// cjk are words of languages that do not put spaces between them.
var cjk = []stem{
	{"要約", summarise}, {"まとめ", summarise}, {"总结", summarise}, {"總結", summarise}, {"摘要", summarise}, {"概括", summarise}, {"요약", summarise},
	{"分類", classify}, {"分类", classify}, {"분류", classify},
	{"抽出", extract}, {"提取", extract}, {"추출", extract},
	{"分析", analyse}, {"比較", analyse}, {"比较", analyse}, {"분석", analyse}, {"비교", analyse},
	{"書いて", draft}, {"撰写", draft}, {"起草", draft}, {"작성", draft},
}

// taskOf returns the task whose word comes first in lower, empty for none.
func taskOf(lower string) string {
	start := true // a word begins here
	beyond := false
	for i := 0; i < len(lower); {
		if start && i+1 < len(lower) {
			for _, s := range byLetter[lower[i]] {
				if s.text[1] == lower[i+1] && startsWith(lower[i:], s.text) {
					return s.task
				}
			}
		}
		if n := skipASCIIWord(lower, i); n > i {
			i, start = n, false
			continue
		}
		if lower[i] < utf8.RuneSelf {
			i, start = i+1, true
			continue
		}
		r, n := utf8.DecodeRuneInString(lower[i:])
		start = !unicode.IsLetter(r)
		beyond = beyond || r >= 0x3000
		i += n
	}
	if !beyond {
		return ""
	}
	task, first := "", len(lower)
	for _, s := range cjk {
		if i := strings.Index(lower[:first], s.text); i >= 0 {
			task, first = s.task, i
		}
	}
	return task
}

// startsWith says whether s begins with a stem; a space at the stem's end stands for the end of a word.
func startsWith(s, stem string) bool {
	word, whole := strings.CutSuffix(stem, " ")
	if !strings.HasPrefix(s, word) {
		return false
	}
	if rest := s[len(word):]; whole && rest != "" {
		r, _ := utf8.DecodeRuneInString(rest)
		return !unicode.IsLetter(r)
	}
	return true
}

// skipASCIIWord returns where the small letters, digits and underscores from i on end. It calls nothing: in a guest a
// loop without calls runs several times as fast as one with.
func skipASCIIWord(s string, i int) int {
	for i < len(s) {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_') {
			break
		}
		i++
	}
	return i
}
