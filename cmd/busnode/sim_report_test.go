package main

import (
	"testing"

	"github.com/spf13/pflag"
)

// TestReportsTellTheSettingsThatHold: what was left open is told as it was settled, and what a
// simulation has no use for is not told.
func TestReportsTellTheSettingsThatHold(t *testing.T) {
	for _, c := range []struct {
		args  []string
		tells map[string]string // "": not told
	}{
		{
			[]string{"--nodes", "12"},
			map[string]string{
				"nodes": "12", "strategy": "tree", "events": "200", "warmup": "100", "publishers": "12", "degree": "8",
				"k": "", "mode": "", "cycle": "", "seed": "", "report": "",
			},
		},
		{
			[]string{"--strategy", "mongering", "--events", "6", "--report", "x.html"},
			map[string]string{"strategy": "mongering", "events": "6", "warmup": "3", "k": "2", "latency": "50ms", "report": ""},
		},
		{
			[]string{"--rounds"},
			map[string]string{
				"strategy": "mongering", "events": "1", "k": "2", "payload": "1024", "loss": "0",
				"latency": "", "bandwidth": "", "degree": "", "publishers": "", "warmup": "", "anti-entropy": "",
			},
		},
	} {
		fs := pflag.NewFlagSet("sim", pflag.ContinueOnError)
		f := newSimFlags(fs)
		if err := fs.Parse(c.args); err != nil {
			t.Fatal(err)
		}
		settled, err := f.settled()
		if err != nil {
			t.Fatal(err)
		}
		told := map[string]string{}
		for _, p := range settled.parameters() {
			if _, twice := told[p.Name]; twice {
				t.Errorf("%v: %s is told twice", c.args, p.Name)
			}
			told[p.Name] = p.Value
		}
		for name, want := range c.tells {
			if got := told[name]; got != want {
				t.Errorf("%v: %s is told as %q, want %q", c.args, name, got, want)
			}
		}
	}
}
