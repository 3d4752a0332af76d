package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// node is a busnode process of a test.
type node struct {
	t    *testing.T
	name string
	dir  string
	args []string
	cmd  *exec.Cmd
	log  bytes.Buffer
}

func newNode(t *testing.T, name string, args ...string) *node {
	t.Helper()
	n := &node{t: t, name: name, dir: filepath.Join(t.TempDir(), name)}
	n.args = append([]string{"run", "--data", n.dir, "--no-mdns"}, args...)
	return n
}

// start starts the process and waits until it answers.
func (n *node) start(listen string, peers ...string) []string {
	n.t.Helper()
	args := append(n.args, "--listen", listen)
	for _, p := range peers {
		args = append(args, "--peer", p)
	}
	if err := os.RemoveAll(filepath.Join(n.dir, "addrs")); err != nil {
		n.t.Fatal(err)
	}
	n.cmd = busnode(n.t, args...)
	n.cmd.Stderr = &n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(n.stop)
	addrs, err := awaitAddrs(n.dir)
	if err != nil {
		n.t.Fatal(err)
	}
	return addrs
}

// stop ends the process cleanly, if it runs.
func (n *node) stop() {
	if n.cmd.ProcessState != nil {
		return
	}
	start := time.Now()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Errorf("%s: %v", n.name, err)
	}
	if err := n.cmd.Wait(); err != nil {
		n.t.Errorf("%s: %v", n.name, err)
	}
	if took := time.Since(start); took > 2*time.Second {
		n.t.Errorf("%s took %v to end", n.name, took)
	}
	if n.t.Failed() {
		n.t.Logf("%s logged:\n%s", n.name, n.log.String())
	}
}

// kill ends the process as a power cut would.
func (n *node) kill() {
	n.t.Helper()
	if err := n.cmd.Process.Kill(); err != nil {
		n.t.Fatal(err)
	}
	_ = n.cmd.Wait() // says that it was killed
}

func (n *node) client() *api.Client {
	return api.NewClient(func(ctx context.Context) (net.Conn, error) { return api.Dial(ctx, n.dir) })
}

// busnode returns a command that runs this program.
func busnode(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return &exec.Cmd{Path: exe, Args: append([]string{"busnode"}, args...), Env: withoutSettings(os.Environ())}
}

// publish publishes numbered lines, "NAME 1" to "NAME n", from first on.
func (n *node) publish(topic string, first, events int) {
	n.t.Helper()
	var lines strings.Builder
	for i := range events {
		fmt.Fprintf(&lines, "%s %d\n", n.name, first+i)
	}
	cmd := busnode(n.t, "pub", topic, "--data", n.dir)
	cmd.Stdin = strings.NewReader(lines.String())
	if out, err := cmd.CombinedOutput(); err != nil {
		n.t.Errorf("publish on %s: %v: %s", n.name, err, out)
	}
}

// read reads events from the start of the node's log with busnode sub, and
// checks that the publishers' numbers run from 1 without gap or repetition.
func (n *node) read(topic string, events int) {
	n.t.Helper()
	cmd := busnode(n.t, "sub", topic, "--data", n.dir, "--from", "start", "--timeout", "20s", "--output", "jsonl",
		"--count", fmt.Sprint(events))
	out, err := cmd.Output()
	if err != nil {
		n.t.Errorf("sub on %s: %v", n.name, err)
	}
	next := map[string]int{}
	for line := range strings.Lines(string(out)) {
		var ev struct{ Payload string }
		if err := json.Unmarshal([]byte(line), &ev); err != nil {
			n.t.Fatalf("sub on %s: %v: %s", n.name, err, line)
		}
		var name string
		var number int
		if _, err := fmt.Sscan(ev.Payload, &name, &number); err != nil {
			n.t.Fatalf("sub on %s: %v: %s", n.name, err, line)
		}
		if number != next[name]+1 {
			n.t.Fatalf("%s: event %d of %s follows event %d", n.name, number, name, next[name])
		}
		next[name] = number
	}
}

// held waits until the node holds as many events of the topic.
func (n *node) held(topic string, events uint64) {
	n.t.Helper()
	c := n.client()
	defer c.Close()
	var topics []api.Topic
	for deadline := time.Now().Add(waitMax); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		var err error
		if topics, err = c.Topics(n.t.Context()); err != nil {
			n.t.Fatal(err)
		}
		for _, t := range topics {
			if t.Topic == topic && t.Events == events {
				return
			}
		}
	}
	n.t.Errorf("%s does not hold %d events of %s after %v: %+v", n.name, events, topic, waitMax, topics)
}

// TestChainOfProcesses is point 1 of what the first release must show: two
// ends that never connect, a middle that is killed while both publish, and a
// node that joins late.
func TestChainOfProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("starts four processes; not with -short")
	}
	const topic, loopback = "chain", "/ip4/127.0.0.1/tcp/0"
	chained := func(name string) *node { return newNode(t, name, "--topic", topic, "--no-peer-exchange") }
	a, b, c := chained("a"), chained("b"), chained("c")
	addrA := a.start(loopback)
	addrB := b.start(loopback, addrA...)
	addrC := c.start(loopback, addrB...)

	a.publish(topic, 1, 1000)
	c.held(topic, 1000)
	c.read(topic, 1000)

	b.kill()
	var publishing sync.WaitGroup
	publishing.Go(func() { a.publish(topic, 1001, 2000) })
	publishing.Go(func() { c.publish(topic, 1, 2000) })
	restart, _, _ := strings.Cut(addrB[0], "/p2p/")
	b.start(restart, addrA...)
	publishing.Wait()
	for _, n := range []*node{a, b, c} {
		n.held(topic, 5000)
		n.read(topic, 5000)
	}

	d := chained("d")
	d.start(loopback, addrC...)
	d.held(topic, 5000)
	d.read(topic, 5000)
	onlyPeers(t, a, b)
	onlyPeers(t, c, b, d)
}

// TestProcessesFindEachOther has three processes of which two know but the third:
// they are told of each other, and need it no more.
func TestProcessesFindEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three processes; not with -short")
	}
	const topic, loopback = "found", "/ip4/127.0.0.1/tcp/0"
	seed := newNode(t, "seed", "--topic", topic)
	a, b := newNode(t, "a", "--topic", topic), newNode(t, "b", "--topic", topic)
	addrs := seed.start(loopback)
	a.start(loopback, addrs...)
	b.start(loopback, addrs...)
	c := a.client()
	defer c.Close()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		peers, err := c.Peers(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(peers) == 2 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("a has peers %v, want 2", peers)
		}
	}
	seed.kill()
	a.publish(topic, 1, 100)
	b.held(topic, 100)
	b.read(topic, 100)
}

// onlyPeers checks that a node is connected to these and no others.
func onlyPeers(t *testing.T, n *node, want ...*node) {
	t.Helper()
	c := n.client()
	defer c.Close()
	peers, err := c.Peers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range peers {
		got = append(got, p.ID)
	}
	if len(got) != len(want) {
		t.Errorf("%s has peers %v, want %d", n.name, got, len(want))
	}
}

func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("starts six processes; not with -short")
	}
	var stderr bytes.Buffer
	cmd := busnode(t, "demo", "--nodes", "5", "--events", "200", "--output", "json")
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("demo: %v\n%s%s", err, out, stderr.Bytes())
	}
	var r demoResult
	if err := json.Unmarshal(out, &r); err != nil {
		t.Fatal(err)
	}
	if r.Published != 200 || len(r.Nodes) != 6 || len(r.Repairs) != 3 || r.Seconds > 20 {
		t.Errorf("demo found %+v", r)
	}
	for _, n := range r.Nodes {
		if n.Held != 200 || !n.asPromised() {
			t.Errorf("node %+v", n)
		}
	}
}

func TestDemoInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("starts several processes; not with -short")
	}
	tmp := t.TempDir()
	cmd := busnode(t, "demo", "--events", "1000000")
	cmd.Env = append(cmd.Env, "TMPDIR="+tmp)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(waitMax); ; time.Sleep(10 * time.Millisecond) {
		running, err := filepath.Glob(filepath.Join(tmp, "*", "n2", "api.sock"))
		if err != nil || time.Now().After(deadline) {
			t.Fatal("the demo starts no nodes", err)
		}
		if len(running) > 0 {
			break
		}
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // its code is looked at
	if code := cmd.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d, want %d", code, exitInterrupted)
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}

func TestBenchLocal(t *testing.T) {
	var out, stderr bytes.Buffer
	a := &app{stdout: &out, stderr: &stderr, lookupEnv: func(string) (string, bool) { return "", false }}
	for _, log := range []string{"memory", "disk"} {
		out.Reset()
		code := a.run(t.Context(), []string{
			"bench", "local", "--events", "5000", "--publishers", "3", "--log", log, "--sync", "never", "--output", "json",
		})
		var r benchResult
		if err := json.Unmarshal(out.Bytes(), &r); code != 0 || err != nil {
			t.Fatalf("bench local --log %s: code %d, %v\n%s", log, code, err, stderr.Bytes())
		}
		if r.Published != 5000 || r.Delivered != 5000 || !r.asPromised() || r.EventsPerS <= 0 || r.Batches == 0 ||
			r.P99Ms <= 0 {
			t.Errorf("bench local --log %s found %+v", log, r)
		}
	}
}
