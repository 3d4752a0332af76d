package api

import (
	"strconv"
	"strings"
	"time"

	"github.com/busnode/busnode/bus"
)

// placeOf reads where a subscription begins: "start", "now", an offset, an
// RFC 3339 time, or how long before now. Empty is now.
func placeOf(from, filter string, now time.Time) (bus.From, error) {
	switch from {
	case "", "now":
		return bus.FromNow(), nil
	case "start":
		return bus.FromStart(), nil
	}
	if offset, err := strconv.ParseUint(from, 10, 64); err == nil {
		if !plain(filter) {
			return bus.From{}, errorf(CodeUsage, "--from %s: an offset needs a plain topic, and %q has wildcards", from, filter)
		}
		return bus.FromOffset(offset), nil
	}
	if t, err := time.Parse(time.RFC3339Nano, from); err == nil {
		return bus.FromTime(t), nil
	}
	if ago, err := time.ParseDuration(from); err == nil && ago >= 0 {
		return bus.FromTime(now.Add(-ago)), nil
	}
	return bus.From{}, errorf(CodeUsage,
		"--from %q: write start, now, an offset, a time as 2006-01-02T15:04:05Z, or 10m for ten minutes ago", from)
}

// plain reports whether a filter matches one topic only.
func plain(filter string) bool {
	for token := range strings.SplitSeq(filter, ".") {
		if token == "*" || token == ">" {
			return false
		}
	}
	return true
}

// ValidFrom returns nil, or why a subscription to filter cannot begin at from.
func ValidFrom(from, filter string) error {
	_, err := placeOf(from, filter, time.Time{})
	return err
}
