package wire

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Topics and filters are tokens joined by dots, as in NATS. In a filter the
// token * stands for any one token, and > as the last token for one or more.
const (
	wildToken = "*"
	wildRest  = ">"
)

// ValidTopic returns nil, or why topic is not one. The error wraps [ErrTopic].
func ValidTopic(topic string) error { return validName(topic, plainName) }

// ValidFilter returns nil, or why filter is not one. Every topic is a filter
// of itself. The error wraps [ErrFilter].
func ValidFilter(filter string) error { return validName(filter, filterName) }

// ValidNetwork returns nil, or why name cannot be a network's: 1 to
// [NetworkMax] bytes of UTF-8 without control characters.
// The error wraps [ErrFormat].
func ValidNetwork(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: empty network name", ErrFormat)
	case len(name) > NetworkMax:
		return fmt.Errorf("%w: network name of %d bytes, at most %d", ErrFormat, len(name), NetworkMax)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: network name %q: not UTF-8", ErrFormat, name)
	}
	if i := strings.IndexFunc(name, unicode.IsControl); i >= 0 {
		return fmt.Errorf("%w: network name %q: control character at byte %d", ErrFormat, name, i)
	}
	return nil
}

// Match reports whether the filter matches the topic; both are valid.
// It does not allocate.
func Match(filter, topic string) bool {
	for {
		if filter == wildRest {
			return true
		}
		want, wantRest, wantMore := strings.Cut(filter, ".")
		token, rest, more := strings.Cut(topic, ".")
		if want != wildToken && want != token || wantMore != more {
			return false
		}
		if !more {
			return true
		}
		filter, topic = wantRest, rest
	}
}

// IsPattern reports whether a valid filter has wildcards, and so may match
// more topics than one.
func IsPattern(filter string) bool { return strings.ContainsAny(filter, wildToken+wildRest) }

// nameKind tells topics from filters.
type nameKind struct {
	invalid error
	wild    bool // tokens may be wildcards
}

var (
	plainName  = nameKind{invalid: ErrTopic}
	filterName = nameKind{invalid: ErrFilter, wild: true}
)

func validName(name string, kind nameKind) error {
	if name == "" {
		return fmt.Errorf("%w: empty", kind.invalid)
	}
	if len(name) > TopicMax {
		return fmt.Errorf("%w: %d bytes, at most %d", kind.invalid, len(name), TopicMax)
	}
	for start := 0; start <= len(name); {
		end := len(name)
		if i := strings.IndexByte(name[start:], '.'); i >= 0 {
			end = start + i
		}
		at, mistake := kind.checkToken(name[start:end], end == len(name))
		if mistake != "" {
			return fmt.Errorf("%w %q: %s at byte %d", kind.invalid, name, mistake, start+at)
		}
		start = end + 1
	}
	return nil
}

// checkToken returns where in the token which mistake is, or "".
func (k nameKind) checkToken(token string, last bool) (at int, mistake string) {
	switch {
	case token == "":
		return 0, "empty token"
	case k.wild && token == wildToken:
		return 0, ""
	case k.wild && token == wildRest:
		if !last {
			return 0, "> before the last token"
		}
		return 0, ""
	}
	for i, r := range token {
		switch {
		case r == '*' || r == '>':
			if k.wild {
				return i, "wildcard beside other characters"
			}
			return i, "wildcard"
		case r == utf8.RuneError && !strings.HasPrefix(token[i:], string(utf8.RuneError)):
			return i, "invalid UTF-8"
		case unicode.IsControl(r):
			return i, "control character"
		case unicode.IsSpace(r):
			return i, "space"
		}
	}
	return 0, ""
}
