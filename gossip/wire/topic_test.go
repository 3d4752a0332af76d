package wire

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestValidTopicSaysWhatIsWrongAndWhere(t *testing.T) {
	for topic, want := range map[string]string{
		"a":                           "",
		"orders.eu.größe":             "",
		"a-b_c/d:e$%":                 "",
		"\ufffd":                      "",
		strings.Repeat("a", TopicMax): "",
		"":                            `wire: invalid topic: empty`,
		strings.Repeat("a", 256):      `wire: invalid topic: 256 bytes, at most 255`,
		"a..b":                        `wire: invalid topic "a..b": empty token at byte 2`,
		".a":                          `wire: invalid topic ".a": empty token at byte 0`,
		"a.":                          `wire: invalid topic "a.": empty token at byte 2`,
		"a.*":                         `wire: invalid topic "a.*": wildcard at byte 2`,
		"a.b>":                        `wire: invalid topic "a.b>": wildcard at byte 3`,
		"a b":                         `wire: invalid topic "a b": space at byte 1`,
		"a\u00a0b":                    `wire: invalid topic "a\u00a0b": space at byte 1`,
		"a.\x00":                      `wire: invalid topic "a.\x00": control character at byte 2`,
		"a.\u0085":                    `wire: invalid topic "a.\u0085": control character at byte 2`,
		"a.b\xff":                     `wire: invalid topic "a.b\xff": invalid UTF-8 at byte 3`,
	} {
		got := ""
		if err := ValidTopic(topic); err != nil {
			got = err.Error()
			if !errors.Is(err, ErrTopic) {
				t.Errorf("%q: %v does not wrap ErrTopic", topic, err)
			}
		}
		if got != want {
			t.Errorf("%q: %s\nwant %s", topic, got, want)
		}
	}
}

func TestValidFilter(t *testing.T) {
	for filter, want := range map[string]string{
		"a.b": "", "*": "", ">": "", "a.*.c": "", "*.*": "", "a.>": "", "*.>": "",
		"a.>.b": `wire: invalid filter "a.>.b": > before the last token at byte 2`,
		"a*":    `wire: invalid filter "a*": wildcard beside other characters at byte 1`,
		"a.>>":  `wire: invalid filter "a.>>": wildcard beside other characters at byte 2`,
		"*.":    `wire: invalid filter "*.": empty token at byte 2`,
		"":      `wire: invalid filter: empty`,
	} {
		got := ""
		if err := ValidFilter(filter); err != nil {
			got = err.Error()
			if !errors.Is(err, ErrFilter) {
				t.Errorf("%q: %v does not wrap ErrFilter", filter, err)
			}
		}
		if got != want {
			t.Errorf("%q: %s\nwant %s", filter, got, want)
		}
	}
}

func TestValidNetwork(t *testing.T) {
	for _, name := range []string{"busnode", "my net", strings.Repeat("n", NetworkMax)} {
		if err := ValidNetwork(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", "a\x00b", "\xff", strings.Repeat("n", NetworkMax+1)} {
		if err := ValidNetwork(name); !errors.Is(err, ErrFormat) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a.b", "a.b", true},
		{"a.b", "a.bc", false},
		{"a.b", "a", false},
		{"a", "a.b", false},
		{"*", "a", true},
		{"*", "a.b", false},
		{"*.b", "a.b", true},
		{"a.*", "a", false},
		{"a.*.c", "a.b.c", true},
		{"a.*.c", "a.b.d", false},
		{">", "a", true},
		{">", "a.b.c", true},
		{"a.>", "a.b.c", true},
		{"a.>", "a", false},
		{"a.>", "b.c", false},
		{"*.>", "a", false},
		{"*.>", "a.b", true},
	} {
		if got := Match(c.filter, c.topic); got != c.want {
			t.Errorf("Match(%q, %q) = %v", c.filter, c.topic, got)
		}
	}
	if n := testing.AllocsPerRun(10, func() { Match("a.*.c.>", "a.b.c.d.e") }); n != 0 {
		t.Errorf("Match allocates %v times", n)
	}
	if IsPattern("a.b") || !IsPattern("a.*") || !IsPattern(">") {
		t.Error("IsPattern")
	}
}

// matchTokens is the naive model of Match.
func matchTokens(filter, topic []string) bool {
	if len(filter) > 0 && filter[0] == ">" {
		return len(topic) > 0
	}
	if len(filter) == 0 || len(topic) == 0 {
		return len(filter) == len(topic)
	}
	return (filter[0] == "*" || filter[0] == topic[0]) && matchTokens(filter[1:], topic[1:])
}

func TestMatchAgreesWithTheModel(t *testing.T) {
	word := rapid.SampledFrom([]string{"a", "b", "ab"})
	wild := rapid.SampledFrom([]string{"a", "b", "ab", "*"})
	rapid.Check(t, func(t *rapid.T) {
		topic := rapid.SliceOfN(word, 1, 5).Draw(t, "topic")
		filter := rapid.SliceOfN(wild, 1, 5).Draw(t, "filter")
		if rapid.Bool().Draw(t, "rest") {
			filter = append(slices.Clone(filter), ">")
		}
		f, s := strings.Join(filter, "."), strings.Join(topic, ".")
		if ValidFilter(f) != nil || ValidTopic(s) != nil {
			t.Fatalf("%q, %q: %v, %v", f, s, ValidFilter(f), ValidTopic(s))
		}
		if got, want := Match(f, s), matchTokens(filter, topic); got != want {
			t.Fatalf("Match(%q, %q) = %v", f, s, got)
		}
	})
}
