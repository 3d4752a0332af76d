package main

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/busnode/busnode/gossip/sim"
)

// inProcess runs a command line in this process, and returns its streams and code.
func inProcess(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	return inProcessWith(t.Context(), nil, "", args...)
}

func inProcessWith(ctx context.Context, env map[string]string, stdin string, args ...string) (
	stdout, stderr string, code int,
) {
	var out, errs bytes.Buffer
	lookup := func(name string) (string, bool) {
		v, ok := env[name]
		return v, ok
	}
	a := &app{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, lookupEnv: lookup}
	code = a.run(ctx, args)
	return out.String(), errs.String(), code
}

// mustJSON runs a command line that succeeds with one JSON document, and decodes it.
func mustJSON(t *testing.T, to any, line string) {
	t.Helper()
	out, errs, code := inProcess(t, append(strings.Fields(line), "--output", "json")...)
	if code != exitDone {
		t.Fatalf("busnode %s: code %d, %s", line, code, errs)
	}
	d := json.NewDecoder(strings.NewReader(out))
	if err := d.Decode(to); err != nil {
		t.Fatalf("busnode %s: %v in %s", line, err, out)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		t.Fatalf("busnode %s writes more than one document", line)
	}
}

// few is a simulation that takes no time worth speaking of.
const few = "--nodes 12 --events 8 --publishers 3"

func TestSimKeysAreTheContracts(t *testing.T) {
	want := strings.Fields(`nodes residue traffic t_ave t_last rounds copies_per_node bytes_per_node control_bytes_per_node
		p50_ms p99_ms max_ms hops_max delivered missing duplicates seed seconds memory_bytes`)
	for _, line := range []string{"sim " + few, "sim --rounds --nodes 20"} {
		var got map[string]any
		mustJSON(t, &got, line)
		for _, key := range want {
			if _, isNumber := got[key].(float64); !isNumber {
				t.Errorf("busnode %s: %s is %v, want a number", line, key, got[key])
			}
			delete(got, key)
		}
		if keys := slices.Collect(maps.Keys(got)); !slices.Equal(keys, []string{"recovery_ms"}) {
			t.Errorf("busnode %s: more keys than the manual tells of: %v", line, keys)
		}
	}
	var sweep struct {
		Vary string
		Rows []map[string]any
		Fit  map[string]any
	}
	mustJSON(t, &sweep, "sim sweep --events 2 --publishers 2 --vary nodes=8,16,32")
	if sweep.Vary != "nodes" || len(sweep.Rows) != 3 {
		t.Fatalf("a sweep over three values: %+v", sweep)
	}
	for i, row := range sweep.Rows {
		if n := float64(int(8) << i); row["value"] != n || row["nodes"] != n {
			t.Errorf("row %d is of value %v, %v nodes; want %v", i, row["value"], row["nodes"], n)
		}
		for _, key := range want {
			if _, found := row[key]; !found {
				t.Errorf("row %d has no %s", i, key)
			}
		}
	}
	if keys := slices.Sorted(maps.Keys(sweep.Fit)); !slices.Equal(keys, []string{"a", "b", "law", "r2"}) {
		t.Errorf("the fit has %v", keys)
	}
	var paper map[string]any
	mustJSON(t, &paper, "sim paper --table 1 --runs 2")
	if keys := slices.Sorted(maps.Keys(paper)); !slices.Equal(keys, []string{"rows", "table"}) {
		t.Errorf("a table has %v", keys)
	}
	for i, row := range paper["rows"].([]any) {
		keys := slices.Sorted(maps.Keys(row.(map[string]any)))
		if !slices.Equal(keys, []string{"k", "residue", "t_ave", "t_last", "traffic"}) ||
			row.(map[string]any)["k"] != float64(i+1) {
			t.Errorf("row %d of a table is %v", i, row)
		}
	}
}

func TestSimRepeats(t *testing.T) {
	figures := func(line string) (r simResult) {
		mustJSON(t, &r, line)
		r.Seconds, r.MemoryBytes = 0, 0
		r.RecoveryMs = nil
		return r
	}
	const line = "sim " + few + " --loss 10% --jitter 20ms --runs 3"
	first := figures(line)
	if again := figures(line); again != first {
		t.Errorf("the same seed gives\n%+v, then\n%+v", first, again)
	}
	if other := figures(line + " --seed 2"); other == first {
		t.Error("another seed gives the same figures")
	}
	if want := 3 * (8 - 4) * (12 - 1); first.Delivered != want || first.Missing != 0 {
		t.Errorf("delivered %d, missing %d; want %d, 0: 4 of 8 events count, at 11 nodes, three times",
			first.Delivered, first.Missing, want)
	}
}

func TestRoundsAddUp(t *testing.T) {
	var r simResult
	mustJSON(t, &r, "sim --rounds --mode push --k 1 --nodes 200 --runs 3 --events 2")
	if r.Delivered+r.Missing != 3*2*199 || r.Missing == 0 {
		t.Errorf("delivered %d, missing %d of 6 events at 199 nodes; with k = 1 some miss it", r.Delivered, r.Missing)
	}
	if got := float64(r.Missing) / (3 * 2 * 200); math.Abs(got-r.Residue) > 1e-6 {
		t.Errorf("residue %v, but %v of the nodes miss an event", r.Residue, got)
	}
	payloads := r.BytesPerNode - r.ControlBytesPerNode
	if r.ControlBytesPerNode <= 0 || payloads < 1024*r.Traffic || payloads > 1400*r.Traffic {
		t.Errorf("%v bytes, %v of them control, with %v payloads of 1 KiB", r.BytesPerNode, r.ControlBytesPerNode, r.Traffic)
	}
}

func TestSimWarmup(t *testing.T) {
	for line, want := range map[string]int{ // events that count
		"": 100, "--events 50": 25, "--events 1": 1, "--events 400": 300, "--warmup 0": 200,
		"--events 10 --warmup 9": 1,
	} {
		if e := settledFlags(t, line).experiment(); e.Events != want {
			t.Errorf("%q: %d events count, want %d", line, e.Events, want)
		}
	}
	if f := settledFlags(t, "--nodes 7"); f.publishers.n != 7 {
		t.Errorf("of 7 nodes %d publish", f.publishers.n)
	}
}

// settledFlags are what sim makes of a command line.
func settledFlags(t *testing.T, line string) *simFlags {
	t.Helper()
	f := newFlags(t, line)
	settled, err := f.settled()
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	return settled
}

func newFlags(t *testing.T, line string) *simFlags {
	t.Helper()
	cmd := (&app{}).simCommand()
	cmd.ResetFlags()
	f := newSimFlags(cmd.Flags())
	if err := cmd.ParseFlags(strings.Fields(line)); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestSimFlagsReachTheExperiment(t *testing.T) {
	e := settledFlags(t, `--nodes 50 --degree 6 --loss 1% --latency 20ms --jitter 5ms --bandwidth 8Mbit --churn 2%/1m
		--partition 5s:60s:0.25,70s:1s --crash 1s:50% --crash 2s:0.1 --anti-entropy 3s --payload 64KiB --zipf`).experiment()
	if e.Nodes != 50 || e.Degree != 6 || e.Config.Degree != 6 || e.Payload != 64<<10 || !e.Zipf ||
		e.Config.HeartbeatInterval != 3*time.Second {
		t.Errorf("%+v", e)
	}
	want := sim.Network{Latency: 20 * time.Millisecond, Jitter: 5 * time.Millisecond, Rate: 1e6, Loss: 0.01}
	if e.Net != want {
		t.Errorf("the network is %+v, want %+v", e.Net, want)
	}
	if want := (sim.Churn{Share: 0.02, Every: time.Minute}); e.Churn != want {
		t.Errorf("churn is %+v", e.Churn)
	}
	splits := []sim.Split{
		{At: 5 * time.Second, For: time.Minute, Share: 0.25}, {At: 70 * time.Second, For: time.Second, Share: 0.5},
	}
	crashes := []sim.Crash{{At: time.Second, Share: 0.5}, {At: 2 * time.Second, Share: 0.1}}
	if !slices.Equal(e.Partitions, splits) || !slices.Equal(e.Crashes, crashes) {
		t.Errorf("partitions %+v, crashes %+v", e.Partitions, e.Crashes)
	}
	m := settledFlags(t, "--strategy mongering --mode pull --variant blind --stop coin --k 3 --fanout 2 "+
		"--connection-limit 4 --hunt 5 --cycle 1s").mongering()
	if !m.Blind || !m.Coin || m.K != 3 || m.Fanout != 2 || m.ConnectionLimit != 4 || m.Hunt != 5 ||
		m.Interval != time.Second {
		t.Errorf("mongering is %+v", m)
	}
	off := settledFlags(t, "--strategy mongering --anti-entropy off").experiment().Config
	if len(off.Topics) != 1 || !off.Topics[0].NoAntiEntropy || off.HeartbeatInterval < 1000*time.Hour {
		t.Errorf("anti-entropy is not off: %+v", off.Topics)
	}
}

func TestSimRefusesWhatMakesNoSense(t *testing.T) {
	for _, c := range [][2]string{
		{"sim --nodes 0", "--nodes 0: want 2 to 10000000"},
		{"sim --nodes many", "--nodes many: write a whole number"},
		{"sim --nodes 99999999999999999999", "beyond what can be counted"},
		{"sim --strategy gossip", `"gossip" is none of tree, mongering`},
		{"sim --strategy mongering --mode shove", `"shove" is none of push-pull, push, pull`},
		{"sim --strategy mongering --minimize --mode push", "--minimize compares two nodes' counters"},
		{"sim --strategy mongering --minimize --stop coin", "--minimize compares"},
		{"sim --strategy mongering --hunt 3", "--hunt 3: nobody refuses"},
		{"sim --strategy mongering --k 0", "--k 0: want 1 to 254"},
		{"sim --strategy mongering --fanout 0", "--fanout 0: want 1 to 64"},
		{"sim --strategy mongering --cycle 0s", "--cycle 0s"},
		{"sim --k 3", "--k: the tree has none: use --strategy mongering"},
		{"sim --rounds --strategy tree", "--rounds: the tree grows along links"},
		{"sim --rounds --latency 1ms", "--latency: with --rounds"},
		{
			"sim --rounds --anti-entropy 1s --nodes 5 --events 2 --anti-entropy 2s",
			"--anti-entropy 2s: with --rounds there is none",
		},
		{"sim --rounds --nodes 3 --fanout 3", "other nodes"},
		{"sim --publishers 101", "--publishers 101: want 1 to the number of nodes, 100"},
		{"sim --publishers 0", "--publishers 0"},
		{"sim --events 0", "--events 0"},
		{"sim --events 10 --warmup 10", "--warmup 10: want fewer than the events in total, 10"},
		{"sim --warmup -1", "--warmup -1"},
		{"sim --runs 0", "--runs 0"},
		{"sim --seed -1", "--seed -1: write a whole number, 0 or more"},
		{"sim --degree 1", "--degree 1: want 2 or more"},
		{"sim --loss 2", "--loss 2: write 1% or 0.01"},
		{"sim --loss 95%", "--loss 0.95: want at most 0.9"},
		{"sim --loss NaN", "--loss NaN: write"},
		{"sim --latency fast", "--latency fast: write 300ms or 1h"},
		{"sim --latency -1s", "negative"},
		{"sim --jitter 60ms", "--jitter 60ms: want at most the latency, 50ms"},
		{"sim --bandwidth 5", "write 100Mbit (bits a second), or off"},
		{"sim --bandwidth 1bit", "want 8kbit to 1000Gbit"},
		{"sim --churn 1%", "write 1%/1m"},
		{"sim --churn 1%/0s", "write 1%/1m"},
		{"sim --partition 5s", "write AT:FOR or AT:FOR:SHARE"},
		{"sim --partition 5s:0s", "write AT:FOR"},
		{"sim --partition 5s:1s:7", "write AT:FOR"},
		{"sim --crash 5s", "write AT:SHARE"},
		{"sim --crash -5s:1%", "write AT:SHARE"},
		{"sim --anti-entropy never", "or off"},
		{"sim --payload 5MiB", "--payload 5242880: want 0 to 4194304 bytes"},
		{"sim --payload big", "no size"},
		{"sim --plot x.png", "name the file with .svg"},
		{"sim --report nowhere/x.html", "there is no directory nowhere"},
		{"sim --output raw", "this command writes text, json, jsonl"},
		{"sim papr", `unknown command "papr", did you mean paper?`},
		{"sim paper --table 4", "--table 4: want 1, 2 or 3"},
		{"sim paper --runs 0", "--runs 0"},
		{"sim paper --nodes 5", "unknown flag: --nodes"},
		{"sim sweep", "--vary is missing: the name of a flag and its values"},
		{"sim sweep --vary nodes", "write the name of a flag and its values"},
		{"sim sweep --vary colour=red", "no such flag"},
		{"sim sweep --vary report=a,b", "--vary report: that flag is the same for all rows"},
		{"sim sweep --vary zipf=yes", "--vary zipf=yes: write true or false"},
		{"sim sweep --vary nodes=10,x", "--vary nodes=x: write a whole number"},
		{"sim sweep --vary nodes=10,1", "--nodes 1: want 2"},
		{"sim sweep --vary k=1,2", "--k: the tree has none"},
		{"sim sweep --nodes 10 --vary nodes=20,30", "--nodes: that is what --vary varies"},
		{"sim scenario", "0 arguments given"},
		{"sim scenario a b", "2 arguments given"},
	} {
		line, want := c[0], c[1]
		out, errs, code := inProcess(t, strings.Fields(line)...)
		if code != exitUsage || out != "" || !strings.Contains(errs, want) || strings.Count(errs, "\n") != 2 {
			t.Errorf("busnode %s: code %d, %q, %q; want code 2 and %q", line, code, out, errs, want)
		}
	}
}

func TestSimSettingsComeFromVariables(t *testing.T) {
	env := map[string]string{
		"BUSNODE_NODES": "10", "BUSNODE_EVENTS": "4", "BUSNODE_PARTITION": "0s:1s,2s:1s", "BUSNODE_LOSS": "2%",
	}
	out, errs, code := inProcessWith(t.Context(), env, "", "sim")
	want := "busnode sim --nodes 10 --loss 0.02 --partition 0s:1s,2s:1s --events 4 --seed 1\n"
	if code != exitDone || !strings.HasSuffix(out, want) {
		t.Errorf("code %d, %s%s; want the command %s", code, out, errs, want)
	}
}

// The last line of the text repeats the run.
func TestSimTellsItsCommand(t *testing.T) {
	out, _, _ := inProcess(t, strings.Fields("sim --rounds --mode push --nodes 30 --runs 2 --seed 7")...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	last := lines[len(lines)-1]
	if want := "busnode sim --nodes 30 --mode push --rounds --runs 2 --seed 7"; last != want {
		t.Errorf("the command is %q, want %q", last, want)
	}
	again, _, code := inProcess(t, strings.Fields(last)[1:]...)
	figures := func(s string) string { return s[:strings.Index(s, "any kind of push")] }
	if code != exitDone || figures(again) != figures(out) {
		t.Errorf("%s gives\n%s\nnot\n%s", last, again, out)
	}
	if got := quoted("it's"); got != `'it'\''s'` {
		t.Errorf("a shell would not take %s", got)
	}
}

func TestSimWritesPicturesWhole(t *testing.T) {
	for _, line := range []string{
		"sim " + few, "sim " + few + " --partition 0s:1s --crash 1s:0.2 --churn 10%/1s",
		"sim --rounds --nodes 40 --mode push",
		"sim --rounds --nodes 40 --runs 2 --events 2", "sim sweep " + few + " --vary loss=0,10%",
		"sim sweep --events 2 --publishers 2 --vary nodes=8,16",
		"sim sweep --rounds --mode push --nodes 40 --vary k=1,2,3",
		"sim sweep " + few + " --vary strategy=tree,mongering", "sim paper --runs 1 --table 3",
	} {
		dir := t.TempDir()
		page, plot := filepath.Join(dir, "a.html"), filepath.Join(dir, "b.svg")
		_, errs, code := inProcess(t, append(strings.Fields(line), "--report", page, "--plot", plot)...)
		if code != exitDone {
			t.Errorf("busnode %s: code %d, %s", line, code, errs)
			continue
		}
		html, svg := mustRead(t, page), mustRead(t, plot)
		has := func(text string) bool { return bytes.Contains(html, []byte(text)) }
		if !has("</html>") || !has("busnode "+strings.Fields(line)[0]) {
			t.Errorf("busnode %s: the page is not whole, or does not tell the command", line)
		}
		if err := xml.Unmarshal(svg, new(struct{})); err != nil || regexp.MustCompile(`NaN|Inf`).Match(svg) {
			t.Errorf("busnode %s: the plot is no SVG: %v", line, err)
		}
		if left, _ := os.ReadDir(dir); len(left) != 2 {
			t.Errorf("busnode %s leaves %v", line, left)
		}
	}
}

func mustRead(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A picture that cannot be written is a failure, and leaves what was there before.
func TestSimKeepsTheOldPicture(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.svg")
	if err := os.WriteFile(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	err := writeWhole(path, func(w io.Writer) error {
		_, _ = w.Write([]byte("half"))
		return broken
	})
	left, _ := os.ReadDir(filepath.Dir(path))
	if !errors.Is(err, broken) || string(mustRead(t, path)) != "old" || len(left) != 1 {
		t.Errorf("%v; %v", err, left)
	}
	dir := filepath.Join(t.TempDir(), "a.svg")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, errs, code := inProcess(t, "sim", "--plot", dir)
	if code != exitUsage || !strings.Contains(errs, "is a directory") {
		t.Errorf("a directory in the picture's place: code %d, %s", code, errs)
	}
}

func TestSimIsInterrupted(t *testing.T) {
	for _, line := range []string{
		"sim --nodes 2000 --events 10000", "sim --rounds --nodes 20000 --events 1000", "sim paper --runs 100000",
		"sim sweep --events 10000 --vary nodes=1000,2000",
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		timer := time.AfterFunc(50*time.Millisecond, func() { cancel(errInterrupted) })
		path := filepath.Join(t.TempDir(), "a.html")
		out, _, code := inProcessWith(ctx, nil, "", append(strings.Fields(line), "--report", path)...)
		timer.Stop()
		cancel(nil)
		if _, err := os.Stat(path); code != exitInterrupted || out != "" || err == nil {
			t.Errorf("busnode %s, interrupted: code %d, %q, the page: %v", line, code, out, err)
		}
	}
}

func TestScenarioTellsWhatHappens(t *testing.T) {
	const script = "nodes 5\noverlay line\npublish 0 3\nrun 20s\n"
	for name, c := range map[string]struct {
		lines, out, errs string
		code             int
	}{
		"as expected":  {"expect held all\n", "expect held all", "", exitDone},
		"not so":       {"expect copies <= 0.1\n", "run 20s", "standard input:5", exitFailed},
		"no such step": {"jump\n", "", "standard input:5", exitUsage},
		"out of place": {"restart 1\n", "run 20s", "standard input:5", exitUsage},
	} {
		out, errs, code := inProcessWith(t.Context(), nil, script+c.lines, "sim", "scenario", "-")
		if code != c.code || !strings.Contains(out, c.out) || !strings.Contains(errs, c.errs) {
			t.Errorf("%s: code %d, %s, %s; want code %d", name, code, out, errs, c.code)
		}
	}
	_, errs, code := inProcess(t, "sim", "scenario", "nowhere.txt")
	if code != exitFailed || !strings.Contains(errs, "nowhere.txt") {
		t.Errorf("a script that is not there: code %d, %s", code, errs)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	timer := time.AfterFunc(50*time.Millisecond, func() { cancel(errInterrupted) })
	defer timer.Stop()
	out, _, code := inProcessWith(ctx, nil, script+"run 1000h\n", "sim", "scenario", "-")
	if code != exitInterrupted || strings.Contains(out, "1000h") {
		t.Errorf("interrupted: code %d, %s", code, out)
	}
}

func TestRunsGoSideBySide(t *testing.T) {
	p := newProgress((&app{stderr: io.Discard, lookupEnv: os.LookupEnv}).newDisplay(), 100)
	p.unit = 1
	got, err := runAll(t.Context(), p, 100, 2, func(i int, tell func(float64) bool) *int {
		tell(0.5)
		return &i
	})
	if err != nil || len(got) != 100 {
		t.Fatalf("%d outcomes, %v", len(got), err)
	}
	for i, o := range got {
		if *o != i {
			t.Errorf("outcome %d is of run %d", i, *o)
		}
	}
	if math.Abs(p.done-p.total) > 1e-6 {
		t.Errorf("%v of %v is done", p.done, p.total)
	}
}

func TestBar(t *testing.T) {
	if got, want := bar(0.5, 10*time.Second), "████████████░░░░░░░░░░░░  50 %  10s left"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := bar(0, 0), strings.Repeat("░", barCells)+"   0 %"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 1.0049: "1.00", 12.34: "12.3", 1234.5: "1234", 0.01234: "0.0123", math.Inf(1): "+Inf",
	} {
		if got := digits(v); got != want {
			t.Errorf("digits(%v) = %q, want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0 %", 1: "100 %", 0.0368: "3.68 %", 0.00001: "0.001 %"} {
		if got := percent(v); got != want {
			t.Errorf("percent(%v) = %q, want %q", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "0 ms", 201 * time.Millisecond: "201 ms", 1500 * time.Millisecond: "1.50 s",
	} {
		if got := millis(d); got != want {
			t.Errorf("millis(%v) = %q, want %q", d, got, want)
		}
	}
}

func TestSweepFitsItsLaw(t *testing.T) {
	for line, want := range map[string]string{
		"sim sweep --rounds --vary nodes=20,80,320":                            lawNodes,
		"sim sweep --rounds --mode push --nodes 100 --runs 20 --vary k=1,2,3":  lawK,
		"sim sweep --rounds --mode push --nodes 100 --vary fanout=1,2":         "",
		"sim sweep --events 2 --publishers 2 --latency 5ms --vary nodes=10,10": "",
		"sim sweep --rounds --nodes 50 --vary mode=push,pull":                  "",
	} {
		var r sweepResult
		mustJSON(t, &r, line)
		switch {
		case want == "" && r.Fit != nil:
			t.Errorf("busnode %s: fitted %+v, want no law", line, r.Fit)
		case want != "" && (r.Fit == nil || r.Fit.Law != want):
			t.Errorf("busnode %s: fitted %+v, want %s", line, r.Fit, want)
		case want == lawK && r.Fit.B >= 0, want == lawNodes && r.Fit.B <= 0:
			t.Errorf("busnode %s: %s with b = %v", line, want, r.Fit.B)
		}
	}
}

// TestSweepPrintsNoRoundingError has last arrivals on a law whose a is 0.
func TestSweepPrintsNoRoundingError(t *testing.T) {
	s := sweep{flag: "nodes", set: pflag.NewFlagSet("", pflag.ContinueOnError)}
	for _, nodes := range []int{100, 1000, 10_000} {
		row := &simulation{flags: &simFlags{nodes: nodes, rounds: true}}
		row.result.TLast = 1.7 * math.Log(float64(nodes)) // the fit leaves an a of some 1e-15
		s.rows, s.texts = append(s.rows, row), append(s.texts, fmt.Sprint(nodes))
	}
	var text bytes.Buffer
	s.print(&text)
	if want := lawNodes + " with a = 0, b = 1.70; R² = 1.0000"; !strings.Contains(text.String(), want) {
		t.Errorf("%s\nwant %s", text.String(), want)
	}
	for _, c := range []struct{ v, other, want float64 }{{2e-9, 2.1, 0}, {-2e-9, 2.1, 0}, {1e-8, 2.1, 1e-8}, {0, 0, 0}} {
		if got := unlessTiny(c.v, c.other); got != c.want {
			t.Errorf("%v beside %v: %v, want %v", c.v, c.other, got, c.want)
		}
	}
}

func TestSweepValuesAreInBaseUnits(t *testing.T) {
	for vary, want := range map[string]string{
		"loss=0,5%": "[0 0.05]", "latency=10ms,1s": "[10 1000]", "payload=1KiB,2KiB": "[1024 2048]",
		"bandwidth=1Mbit,off": "[1e+06 0]", "seed=1,2": "[1 2]", "strategy=tree,mongering": "[tree mongering]",
		"zipf=false,true": "[false true]",
	} {
		var r sweepResult
		mustJSON(t, &r, "sim sweep "+few+" --vary "+vary)
		var got []any
		for _, row := range r.Rows {
			got = append(got, row.Value)
		}
		if text := strings.TrimSpace(fmt.Sprint(got)); text != want {
			t.Errorf("%s: %s, want %s", vary, text, want)
		}
	}
}
