package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
	"github.com/busnode/busnode/gossip/sim"
)

// What follows are the values of flags that only simulations have.

// share is a part of 1: "1%" or "0.01".
type share float64

var errShare = errors.New("write 1% or 0.01, from 0 to 1")

func parseShare(s string) (float64, error) {
	number, percent := strings.CutSuffix(strings.TrimSpace(s), "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || !(v >= 0 && v <= 1) {
		return 0, errShare
	}
	return v, nil
}

// Set implements [pflag.Value].
func (p *share) Set(s string) error {
	v, err := parseShare(s)
	if err == nil {
		*p = share(v)
	}
	return err
}

// String implements [pflag.Value].
func (p *share) String() string { return strconv.FormatFloat(float64(*p), 'g', -1, 64) }

// Type implements [pflag.Value].
func (p *share) Type() string { return "share" }

// optional is a number whose default depends on other flags.
type optional struct {
	n     int
	given bool
}

// Set implements [pflag.Value].
func (o *optional) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err == nil {
		*o = optional{n, true}
	}
	return err
}

// String implements [pflag.Value].
func (o *optional) String() string {
	if !o.given {
		return ""
	}
	return strconv.Itoa(o.n)
}

// Type implements [pflag.Value].
func (o *optional) Type() string { return "int" }

// open sets the number if it was left open.
func (o *optional) open(n int) {
	if !o.given {
		o.n = n
	}
}

// heartbeat is the mean time between two of a node's heartbeats, or off.
type heartbeat struct {
	every time.Duration
	off   bool
}

const offText = "off"

// Set implements [pflag.Value].
func (h *heartbeat) Set(s string) error {
	if s == offText {
		*h = heartbeat{off: true}
		return nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return errors.New("write 1s, the mean time between two heartbeats, or off")
	}
	*h = heartbeat{every: d}
	return nil
}

// String implements [pflag.Value].
func (h *heartbeat) String() string {
	if h.off {
		return offText
	}
	return h.every.String()
}

// Type implements [pflag.Value].
func (h *heartbeat) Type() string { return "duration|off" }

// bandwidth is what a node's uplink and downlink carry, in bits a second.
type bandwidth struct {
	bits float64 // 0: no limit
	text string
}

// Set implements [pflag.Value].
func (b *bandwidth) Set(s string) error {
	if s == offText {
		*b = bandwidth{text: s}
		return nil
	}
	var r quantity.Rate
	if err := r.Set(s); err != nil || r.Bits == 0 {
		return errors.New("write 100Mbit (bits a second), or off for no limit")
	}
	if r.Bits < 8e3 || r.Bits > 1e12 {
		return errors.New("want 8kbit to 1000Gbit, or off for no limit")
	}
	*b = bandwidth{bits: r.Bits, text: s}
	return nil
}

// String implements [pflag.Value].
func (b *bandwidth) String() string { return b.text }

// Type implements [pflag.Value].
func (b *bandwidth) Type() string { return "rate|off" }

// churn is which share of the nodes comes and goes in which time: "1%/1m".
type churn struct {
	sim.Churn
	text string
}

// Set implements [pflag.Value].
func (c *churn) Set(s string) error {
	text, every, found := strings.Cut(s, "/")
	p, err := parseShare(text)
	d, errEvery := time.ParseDuration(every)
	if !found || err != nil || errEvery != nil || d <= 0 {
		return errors.New("write 1%/1m: the share of the nodes, and the time in which so many come and go")
	}
	*c = churn{sim.Churn{Share: p, Every: d}, s}
	return nil
}

// String implements [pflag.Value].
func (c *churn) String() string { return c.text }

// Type implements [pflag.Value].
func (c *churn) Type() string { return "share/duration" }

// list is a flag that repeats, each item of which is parsed. Items may also be
// separated by commas.
type list[T any] struct {
	items []T
	texts []string
	parse func(string) (T, error)
	kind  string
}

// Set implements [pflag.Value].
func (l *list[T]) Set(s string) error {
	for text := range strings.SplitSeq(s, ",") {
		if err := l.Append(text); err != nil {
			return err
		}
	}
	return nil
}

// Append implements [pflag.SliceValue].
func (l *list[T]) Append(s string) error {
	item, err := l.parse(strings.TrimSpace(s))
	if err == nil {
		l.items, l.texts = append(l.items, item), append(l.texts, strings.TrimSpace(s))
	}
	return err
}

// Replace implements [pflag.SliceValue].
func (l *list[T]) Replace(texts []string) error {
	l.items, l.texts = nil, nil
	return l.Set(strings.Join(texts, ","))
}

// GetSlice implements [pflag.SliceValue].
func (l *list[T]) GetSlice() []string { return l.texts }

// String implements [pflag.Value].
func (l *list[T]) String() string { return strings.Join(l.texts, ",") }

// Type implements [pflag.Value].
func (l *list[T]) Type() string { return l.kind }

// parseSplit reads a partition: AT:FOR or AT:FOR:SHARE.
func parseSplit(s string) (sim.Split, error) {
	parts := strings.Split(s, ":")
	wrong := errors.New("write AT:FOR or AT:FOR:SHARE, as 5s:60s:0.5: when from the first event that counts, " +
		"for how long, the share of the nodes on one side")
	if len(parts) < 2 || len(parts) > 3 {
		return sim.Split{}, wrong
	}
	at, errAt := time.ParseDuration(parts[0])
	d, errFor := time.ParseDuration(parts[1])
	p, errShare := 0.5, error(nil)
	if len(parts) == 3 {
		p, errShare = parseShare(parts[2])
	}
	if errAt != nil || errFor != nil || errShare != nil || at < 0 || d <= 0 {
		return sim.Split{}, wrong
	}
	return sim.Split{At: at, For: d, Share: p}, nil
}

// parseCrash reads a crash: AT:SHARE.
func parseCrash(s string) (sim.Crash, error) {
	when, text, _ := strings.Cut(s, ":")
	at, errAt := time.ParseDuration(when)
	p, errShare := parseShare(text)
	if errAt != nil || errShare != nil || at < 0 {
		return sim.Crash{}, errors.New("write AT:SHARE, as 5s:50%: when from the first event that counts, and " +
			"the share of the nodes that vanish then")
	}
	return sim.Crash{At: at, Share: p}, nil
}

// percent writes a share as people read it, to three digits.
func percent(v float64) string {
	switch {
	case v == 0:
		return "0 %"
	case v < 1e-4:
		return fmt.Sprintf("%.2g %%", 100*v)
	}
	return digits(100*v) + " %"
}

// digits writes a figure to three digits, or to the whole number if that has more.
func digits(v float64) string {
	if v == 0 || math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	after := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', after, 64)
}

// millis writes a time in milliseconds, or in seconds from one on.
func millis(d time.Duration) string {
	if d >= time.Second {
		return digits(d.Seconds()) + " s"
	}
	return digits(float64(d)/float64(time.Millisecond)) + " ms"
}
