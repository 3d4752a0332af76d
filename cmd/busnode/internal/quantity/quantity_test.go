package quantity

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for text, want := range map[string]Size{"0": 0, "512": 512, "64KiB": 64 << 10, "1MB": 1_000_000, "4 MiB": 4 << 20} {
		var z Size
		if err := z.Set(text); err != nil || z != want {
			t.Errorf("Set(%q) = %d, %v; want %d", text, z, err, want)
		}
	}
	for _, text := range []string{"", "x", "-1", "12parsecs", "99999999999EiB"} {
		var z Size
		if err := z.Set(text); err == nil {
			t.Errorf("Set(%q) = %d; want an error", text, z)
		}
	}
}

func TestRate(t *testing.T) {
	for text, want := range map[string]Rate{
		"500": {Events: 500}, "0.5/s": {Events: 0.5}, "100Mbit": {Bits: 1e8}, "8kbit/s": {Bits: 8e3}, "2Gbit": {Bits: 2e9},
	} {
		var r Rate
		if err := r.Set(text); err != nil || r.Events != want.Events || r.Bits != want.Bits {
			t.Errorf("Set(%q) = %+v, %v; want %+v", text, r, err, want)
		}
	}
	for _, text := range []string{"", "0", "-3", "fast", "5MB", "1e999"} {
		var r Rate
		if err := r.Set(text); err == nil {
			t.Errorf("Set(%q) = %+v; want an error", text, r)
		}
	}
}

func TestRateAt(t *testing.T) {
	events, bits := Rate{Events: 4}, Rate{Bits: 800}
	if got := events.At(2, 1000); got != 500*time.Millisecond {
		t.Errorf("third of 4 events a second is due after %v", got)
	}
	if got := bits.At(2, 100); got != time.Second {
		t.Errorf("after 100 bytes at 800 bits a second: due after %v", got)
	}
	if got := (&Rate{}).At(9, 9); got != 0 {
		t.Errorf("no rate: due after %v", got)
	}
}
