package groupkey

import (
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestAChainOfListedPeersComesToOneRoot(t *testing.T) {
	hosts := newHosts(t, 5)
	nodes := make([]*node, len(hosts))
	for i, h := range hosts {
		nodes[i] = start(t, h, "n", "", hosts...)
	}
	if len(nodes[0].Roots()) != 0 {
		t.Fatal("a root that nobody shares")
	}
	for _, i := range rand.Perm(len(hosts) - 1) {
		connect(t, hosts[i], hosts[i+1])
	}
	await(t, "one root", func() bool { return sameRoot(nodes...) })
	for i, n := range nodes {
		<-n.Changed()
		if s := n.Status(); !s.Agreed || s.Allowed != 4 || s.Stats.Exchanged == 0 {
			t.Errorf("node %d: %+v", i, s)
		}
	}
}

func TestBothHaveToListEachOther(t *testing.T) {
	hosts := newHosts(t, 2)
	a, b := start(t, hosts[0], "n", "", hosts[1]), start(t, hosts[1], "n", "")
	connect(t, hosts[0], hosts[1])
	await(t, "refusal", func() bool { return b.Status().Stats.Refused > 0 && a.Status().Stats.Unwanted > 0 })
	if s := a.Status(); len(s.Refusing) != 1 || s.Refusing[0] != b.id() || s.Agreed {
		t.Errorf("the refused one: %+v", s)
	}
	if len(a.Roots())+len(b.Roots()) != 0 {
		t.Error("a root all the same")
	}
	if err := b.Allow(ids(hosts...)); err != nil {
		t.Fatal(err)
	}
	await(t, "one root", func() bool { return sameRoot(a, b) })
	if s := a.Status(); len(s.Refusing) != 0 || len(s.Sharing) != 1 {
		t.Errorf("then: %+v", s)
	}
}

// A listed peer that asked again and again had each answer wait for the disk.
func TestTheFileIsWrittenWhenTheRootChanges(t *testing.T) {
	hosts := newHosts(t, 2)
	file := filepath.Join(t.TempDir(), "key")
	a, b := start(t, hosts[0], "n", file, hosts...), start(t, hosts[1], "n", "", hosts...)
	connect(t, hosts[0], hosts[1])
	await(t, "one root", func() bool { return sameRoot(a, b) })
	stat := func() os.FileInfo {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	written := stat()
	before := a.Status().Stats.Exchanged
	if _, err := b.exchange(hosts[0].ID()); err != nil {
		t.Fatal(err)
	}
	if after := a.Status().Stats.Exchanged; after == before {
		t.Fatal("nothing was exchanged")
	}
	if !os.SameFile(written, stat()) {
		t.Error("the file was written anew")
	}
	if err := a.Allow(ids()); err != nil {
		t.Fatal(err)
	}
	if os.SameFile(written, stat()) {
		t.Error("the file was not written")
	}
}

// A root that could not be written when it was agreed on stayed unwritten until the next one.
func TestTheFileIsWrittenOnceItCanBe(t *testing.T) {
	hosts := newHosts(t, 2)
	dir := filepath.Join(t.TempDir(), "dir")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "key")
	a, b := start(t, hosts[0], "n", file, hosts...), start(t, hosts[1], "n", "", hosts...)
	before, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	connect(t, hosts[0], hosts[1])
	await(t, "one root", func() bool { return sameRoot(a, b) })
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	if _, err := b.exchange(hosts[0].ID()); err != nil {
		t.Fatal(err)
	}
	after, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if os.SameFile(before, after) {
		t.Error("the root is not kept for the next start")
	}
}

func TestNetworksDoNotShareAKey(t *testing.T) {
	hosts := newHosts(t, 2)
	a, b := start(t, hosts[0], "one", "", hosts...), start(t, hosts[1], "two", "", hosts...)
	connect(t, hosts[0], hosts[1])
	await(t, "refusal", func() bool {
		return a.Status().Stats.OtherNetwork+b.Status().Stats.OtherNetwork > 0
	})
	if len(a.Roots())+len(b.Roots()) != 0 {
		t.Error("a root all the same")
	}
}

func TestWhoIsTakenOffTheListIsLockedOut(t *testing.T) {
	hosts := newHosts(t, 3)
	nodes := make([]*node, len(hosts))
	for i, h := range hosts {
		nodes[i] = start(t, h, "n", "", hosts...)
		for _, other := range hosts[:i] {
			connect(t, h, other)
		}
	}
	await(t, "one root", func() bool { return sameRoot(nodes...) })
	a, b, out := nodes[0], nodes[1], nodes[2]
	old := a.Roots()[0]
	for _, n := range nodes[:2] {
		if err := n.Allow(ids(hosts[:2]...)); err != nil {
			t.Fatal(err)
		}
	}
	await(t, "a new root of the two", func() bool { return sameRoot(a, b) && a.Roots()[0] != old })
	// b listed the third for a moment longer, and may have shown it the first new root.
	await(t, "the newest root on both", func() bool {
		return len(a.Status().Sharing) == 1 && len(b.Status().Sharing) == 1 && sameRoot(a, b)
	})
	last := a.Roots()
	if err := out.Allow(ids(hosts[0])); err != nil { // it makes a root of its own, which would beat the others'
		t.Fatal(err)
	}
	await(t, "refusal of the third", func() bool { return len(out.Status().Refusing) == 1 })
	if roots := a.Roots(); roots[0] != last[0] {
		t.Error("a root of one off the list was taken")
	}
	for _, r := range out.Roots() {
		if r == last[0] {
			t.Error("who is off the list has the new root")
		}
	}
	if len(last) != 2 {
		t.Errorf("%d roots: the one before should open what is on the way", len(last))
	}
}

func TestARestartWithoutAnyStreamHasTheRoot(t *testing.T) {
	hosts := newHosts(t, 2)
	path := filepath.Join(t.TempDir(), "group-key")
	a, b := start(t, hosts[0], "n", path, hosts...), start(t, hosts[1], "n", "", hosts...)
	connect(t, hosts[0], hosts[1])
	await(t, "one root", func() bool { return sameRoot(a, b) })
	want := a.Roots()[0]
	a.Close()
	if err := hosts[0].Network().ClosePeer(hosts[1].ID()); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("the file has mode %04o", mode)
	}
	again, err := New(Config{Host: hosts[0], Network: "n", File: path, Allowed: ids(hosts...)})
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if roots := again.Roots(); len(roots) != 1 || roots[0] != want {
		t.Errorf("%d roots after the restart, or another", len(roots))
	}
}

func TestWhoWasTakenOffMeanwhileIsLockedOutToo(t *testing.T) {
	hosts := newHosts(t, 3)
	path := filepath.Join(t.TempDir(), "group-key")
	a, b := start(t, hosts[0], "n", path, hosts...), start(t, hosts[1], "n", "", hosts...)
	connect(t, hosts[0], hosts[1])
	await(t, "one root", func() bool { return sameRoot(a, b) })
	old := a.Roots()[0]
	a.Close()
	a = start(t, hosts[0], "n", path, hosts[:2]...)
	await(t, "a new root", func() bool { return sameRoot(a, b) && a.Roots()[0] != old })
}

func TestOneExchangeAHost(t *testing.T) {
	hosts := newHosts(t, 1)
	first := start(t, hosts[0], "n", "")
	second, err := New(Config{Host: hosts[0], Network: "n"})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Start(); !errors.Is(err, ErrHostTaken) {
		t.Errorf("the second start: %v", err)
	}
	second.Close()
	if len(first.cfg.Host.Mux().Protocols()) == 0 || !serves(first) {
		t.Error("the second took the first's handler away")
	}
}

func serves(n *node) bool {
	for _, id := range n.host.Mux().Protocols() {
		if id == ID {
			return true
		}
	}
	return false
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	hosts := newHosts(t, 1)
	path := filepath.Join(t.TempDir(), "group-key")
	a, err := New(Config{Host: hosts[0], Network: "n", File: path})
	if err != nil {
		t.Fatal(err)
	}
	a.Close()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		mode os.FileMode
		want error
	}{
		"open to others": {string(good), 0o644, ErrFileMode},
		"no JSON":        {"key", 0o600, ErrFile},
		"other network":  {strings.Replace(string(good), `"n"`, `"m"`, 1), 0o600, ErrFile},
		"other version":  {strings.Replace(string(good), `: 1`, `: 2`, 1), 0o600, ErrFile},
		"cut key":        {strings.Replace(string(good), `"offer": "`, `"offer": "00`, 1), 0o600, ErrFile},
		"bad peer":       {strings.Replace(string(good), `[]`, `["x"]`, 1), 0o600, ErrFile},
	} {
		if c.mode != 0o600 && runtime.GOOS == "windows" {
			continue
		}
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, c.mode); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Host: hosts[0], Network: "n", File: path}); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}
