// Package quantity reads sizes and rates as people write them on a command line.
package quantity

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Size is a number of bytes: "512", "64KiB", "1MB". It is a flag's value.
type Size int64

// Set reads s.
func (z *Size) Set(s string) error {
	n, err := humanize.ParseBytes(strings.TrimSpace(s))
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is no size: write 512, 64KiB or 1MB", s)
	}
	*z = Size(n)
	return nil
}

// String returns the size in bytes.
func (z *Size) String() string { return strconv.FormatInt(int64(*z), 10) }

// Type names the value in help texts.
func (z *Size) Type() string { return "bytes" }

// Rate is how fast events go: a number of events a second ("500", "500/s"), or
// of payload bits a second ("100Mbit"). The zero Rate is no limit.
type Rate struct {
	Events float64 // a second, or 0
	Bits   float64 // a second, or 0
	text   string
}

var errRate = errors.New("no rate: write 500 (events a second) or 100Mbit (bits a second)")

// Set reads s.
func (r *Rate) Set(s string) error {
	s = strings.TrimSpace(s)
	number, unit := split(strings.TrimSuffix(s, "/s"))
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n <= 0 || math.IsInf(n, 0) {
		return fmt.Errorf("%q is %w", s, errRate)
	}
	scale, ok := map[string]float64{"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}[strings.ToLower(unit)]
	switch {
	case unit == "":
		*r = Rate{Events: n, text: s}
	case ok:
		*r = Rate{Bits: n * scale, text: s}
	default:
		return fmt.Errorf("%q is %w", s, errRate)
	}
	return nil
}

func split(s string) (number, unit string) {
	i := strings.IndexFunc(s, func(c rune) bool { return c != '.' && (c < '0' || c > '9') })
	if i < 0 {
		return s, ""
	}
	return s[:i], strings.TrimSpace(s[i:])
}

// String returns the rate as it was written.
func (r *Rate) String() string { return r.text }

// Type names the value in help texts.
func (r *Rate) Type() string { return "rate" }

// At returns how long after the start the next event is due when events of
// bytes in total have gone before it.
func (r *Rate) At(events int, bytes int64) time.Duration {
	switch {
	case r.Events > 0:
		return time.Duration(float64(events) / r.Events * float64(time.Second))
	case r.Bits > 0:
		return time.Duration(float64(bytes) * 8 / r.Bits * float64(time.Second))
	}
	return 0
}
