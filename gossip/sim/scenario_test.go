package sim

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestScenarios runs all scripts. Each runs twice, alike; once if time is short.
func TestScenarios(t *testing.T) {
	files, err := filepath.Glob("testdata/scenarios/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var seen [2]string
			for i := range seen {
				if i > 0 && testing.Short() {
					return
				}
				var out bytes.Buffer
				s, err := ParseScenario(file, text)
				if err == nil {
					err = s.Run(&out, nil)
				}
				if seen[i] = out.String(); err != nil {
					t.Fatalf("%v\n%s", err, out.String())
				}
			}
			if seen[0] != seen[1] {
				t.Errorf("two runs differ:\n%s\n%s", seen[0], seen[1])
			}
			if testing.Verbose() {
				t.Logf("\n%s", seen[0])
			}
		})
	}
}

func TestScenarioMistakesNameLineAndRemedy(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"", "there are no nodes"},
		{"nodes 3\n\nflood 3", `x:3: there is no "flood"; a line begins with one of seed,`},
		{"run 3s", "run comes too early"},
		{"nodes 3\nseed 4", "seed comes too late"},
		{"nodes", "how many is missing; it is: nodes N"},
		{"nodes 0", `how many "0" is not a number from 1`},
		{"nodes 3 4", `"4" is too much`},
		{"nodes 3\ncrash 3", `"3" does not name nodes: no such nodes; say all, 7 or 0-4,9, from 0 to 2`},
		{"nodes 3\ncrash 2-1", "no such nodes"},
		{"nodes 3\ncut 1 1", "node 1 twice"},
		{"nodes 3\nloss 120%", `"120%" is not a share`},
		{"nodes 3\nloss 95%", "too much"},
		{"nodes 3\nlatency fast", `"fast" is not a time`},
		{"nodes 3\nrun -3s", "is not a time from 0s"},
		{"nodes 3\nrate 5", "bits a second"},
		{"nodes 3\npublish 0 5 topic a..b", "topic"},
		{"nodes 3\ninterest 0 a.>.b", "filter"},
		{"nodes 3\ncorrupt 1%", "put a line with encode before"},
		{"nodes 3\nexpect joy", `"joy" is none of held`},
		{"nodes 3\nexpect copies < 1", `"<" is none of <=`},
		{"config degree 2\nnodes 3", "Degree = 2, want >= 3"},
		{"config colour red\nnodes 3", `no setting "colour"`},
		{"nodes 3\nnodes 100000", "too many"},
	} {
		_, err := ParseScenario("x", []byte(c.script))
		if !errors.Is(err, ErrScenario) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.script, err, c.want)
		}
	}
}

func TestScenarioRunEndsWithWhatIsNotAsExpected(t *testing.T) {
	const overlay = "latency 10ms\nnodes 3\noverlay line\nrun 2s\npublish 0 3\nrun 1s\n"
	for _, c := range []struct {
		script, want string
		kind         error
	}{
		{
			"nodes 3\npublish 0 1\nrun 1s\nexpect held all within 3s",
			"x:4: expect held all within 3s: node 1 lacks batch 0", ErrUnexpected,
		},
		{
			"nodes 3\npublish 0 1\nrun 1s\nexpect delivered all within 3s", "cannot read batch 0",
			ErrUnexpected,
		},
		{overlay + "expect delivered all within 9ms", "could read batch 0", ErrUnexpected},
		{overlay + "expect copies <= 0.5", "expect copies <= 0.5: 1", ErrUnexpected},
		{overlay + "expect hops >= 3", "2", ErrUnexpected},
		{overlay + "publish 0 1\nexpect quiet 1s", "after all is repaired", ErrUnexpected},
		{overlay + "publish 0 1\nexpect well", "node 1 lacks batch 3", ErrUnexpected},
		{overlay + "crash 1\ncrash 1", "x:8: crash 1: node 1 is down already", ErrScenario},
		{overlay + "restart 1", "only what crashed restarts", ErrScenario},
		{overlay + "equivocate 0 to 2", "not connected", ErrScenario},
	} {
		s, err := ParseScenario("x", []byte(c.script))
		if err != nil {
			t.Fatalf("%q: %v", c.script, err)
		}
		var out bytes.Buffer
		if err := s.Run(&out, nil); !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: error %v, want %q", c.script, err, c.want)
		}
	}
}

func TestScenarioEndsWhenItsCallerEndsIt(t *testing.T) {
	const begin = "latency 10ms\nnodes 3\noverlay line\nrun 1s\npublish 0 1\n"
	for _, line := range []string{
		"run 1000h", "expect quiet 1000h", "partition 1-2\npublish 0 1\nexpect held all within 1000h",
	} {
		s, err := ParseScenario("x", []byte(begin+line))
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		asked := 0
		err = s.Run(&out, func() bool { asked++; return asked > 5000 })
		if !errors.Is(err, ErrEnded) || asked > 5010 {
			t.Errorf("%s: asked %d times, error %v", line, asked, err)
		}
		if strings.Contains(out.String(), "000h") {
			t.Errorf("%s: the line that was under way is told as done:\n%s", line, out.String())
		}
	}
}
