package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// args are the words of a line behind its verb. The first mistake stays in err.
type args struct {
	words []string
	nodes int // that there are at this line
	err   error
}

func (a *args) fail(format string, v ...any) {
	if a.err == nil {
		a.err = fmt.Errorf(format, v...)
	}
}

// next takes a word. It is empty, and a mistake, if there is none.
func (a *args) next(what string) string {
	if len(a.words) == 0 {
		a.fail("%s is missing", what)
		return ""
	}
	word := a.words[0]
	a.words = a.words[1:]
	return word
}

// has takes a word if it comes next.
func (a *args) has(word string) bool {
	if len(a.words) == 0 || a.words[0] != word {
		return false
	}
	a.words = a.words[1:]
	return true
}

func (a *args) end() {
	if len(a.words) > 0 {
		a.fail("%q is too much", strings.Join(a.words, " "))
	}
}

func (a *args) count(what string, least, most int) int {
	word := a.next(what)
	n, err := strconv.Atoi(word)
	if a.err == nil && (err != nil || n < least || n > most) {
		a.fail("%s %q is not a number from %d to %d", what, word, least, most)
	}
	return n
}

func (a *args) seed() uint64 {
	word := a.next("the seed")
	n, err := strconv.ParseUint(word, 10, 64)
	if err != nil {
		a.fail("seed %q is not a number", word)
	}
	return n
}

// durationMax bounds all times: what lasts longer is a slip of the pen.
const durationMax = 1000 * time.Hour

func (a *args) duration(what string) time.Duration { return a.durationFrom(what, 0) }

func (a *args) durationFrom(what string, least time.Duration) time.Duration {
	word := a.next(what)
	d, err := time.ParseDuration(word)
	if a.err == nil && (err != nil || d < least || d > durationMax) {
		a.fail("%s %q is not a time from %v, such as 50ms or 1m30s", what, word, least)
	}
	return d
}

// share takes a share such as 20% or 0.2.
func (a *args) share() float64 {
	word := a.next("the share")
	number, percent := strings.CutSuffix(word, "%")
	p, err := strconv.ParseFloat(number, 64)
	if percent {
		p /= 100
	}
	if a.err == nil && (err != nil || !(p >= 0 && p <= 1)) {
		a.fail("%q is not a share, such as 20%% or 0.2", word)
	}
	return p
}

func (a *args) number(what string) float64 {
	word := a.next(what)
	x, err := strconv.ParseFloat(word, 64)
	if a.err == nil && (err != nil || !(x >= 0 && x < 1e18)) {
		a.fail("%s %q is not a number", what, word)
	}
	return x
}

// rate takes bits a second, such as 100Mbit, and returns bytes a second.
func (a *args) rate() int {
	word := a.next("the rate")
	for _, u := range []struct {
		suffix string
		factor float64
	}{{"Gbit", 1e9}, {"Mbit", 1e6}, {"kbit", 1e3}} {
		if number, ok := strings.CutSuffix(word, u.suffix); ok {
			if x, err := strconv.ParseFloat(number, 64); err == nil && x*u.factor >= 8 && x*u.factor <= 1e15 {
				return int(x * u.factor / 8)
			}
		}
	}
	a.fail("rate %q is not bits a second, such as 10Mbit or 500kbit", word)
	return 0
}

// topic takes «topic NAME» if it comes next.
func (a *args) topic() string {
	if !a.has("topic") {
		return Topic
	}
	name := a.next("the topic's name")
	if err := wire.ValidTopic(name); a.err == nil && err != nil {
		a.err = err
	}
	return name
}

func (a *args) filter() string {
	filter := a.next("the filter")
	if err := wire.ValidFilter(filter); a.err == nil && err != nil {
		a.err = err
	}
	return filter
}

// oneOf takes one of some words.
func (a *args) oneOf(what string, words ...string) string {
	word := a.next(what)
	if !slices.Contains(words, word) {
		a.fail("%s %q is none of %s", what, word, strings.Join(words, ", "))
	}
	return word
}

// node takes the number of a node.
func (a *args) node() int { return a.count("the node", 0, a.nodes-1) }

// some takes nodes: all, or numbers and ranges such as 3,5-9.
func (a *args) some() []int {
	word := a.next("which nodes")
	if a.err != nil {
		return nil
	}
	some, err := a.parseNodes(word)
	if err != nil {
		a.fail("%q does not name nodes: %w; say all, 7 or 0-4,9, from 0 to %d", word, err, a.nodes-1)
	}
	return some
}

func (a *args) parseNodes(word string) (some []int, err error) {
	if word == "all" {
		word = fmt.Sprintf("0-%d", a.nodes-1)
	}
	for _, part := range strings.Split(word, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err1 := strconv.Atoi(from)
		last, err2 := strconv.Atoi(to)
		switch {
		case err1 != nil || err2 != nil:
			return nil, errors.New("not a number")
		case first < 0 || first > last || last >= a.nodes:
			return nil, errors.New("no such nodes")
		}
		for i := first; i <= last; i++ {
			some = append(some, i)
		}
	}
	slices.Sort(some)
	return slices.Compact(some), nil
}
