package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	somePeer  = "12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp"
	otherPeer = "12D3KooWHdiAxVd8uMQR1hGWXccidmfCwLqcMpGwR6QcTP6QRMuD"
)

func TestAllowListsHaveAPeerALine(t *testing.T) {
	peers, err := parseAllowed([]byte("# the kitchen\n\n " + somePeer + "  # fridge\r\n" + otherPeer))
	if err != nil || len(peers) != 2 || string(peers[0]) != somePeer || string(peers[1]) != otherPeer {
		t.Errorf("%v, %v", peers, err)
	}
	if peers, err := parseAllowed([]byte("# nobody\n")); err != nil || len(peers) != 0 {
		t.Errorf("nobody: %v, %v", peers, err)
	}
}

func TestAllowListsAreCheckedLineByLine(t *testing.T) {
	_, err := parseAllowed([]byte(somePeer + "\nfridge\n\n/ip4/10.0.0.1/tcp/1/p2p/" + otherPeer + "\n"))
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{`line 2: "fridge"`, `line 4: "/ip4/10.0.0.1`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
}

// An editor, or cp, empties a file before it writes it. Read in between, the list would name
// nobody: all links would end, and the group's key with them.
func TestAnAllowListIsNotReadWhileItIsWritten(t *testing.T) {
	file := allowFile{path: filepath.Join(t.TempDir(), "allow")}
	now := time.Now()
	write := func(text string, at time.Time) {
		t.Helper()
		if err := os.WriteFile(file.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(file.path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	look := func(what string, at time.Time, want bool) {
		t.Helper()
		if got := file.changed(at); got != want {
			t.Errorf("%s: changed is %v", what, got)
		}
	}
	look("it is not there", now, true)
	look("it is still not there", now, false)
	write(somePeer, now.Add(-time.Hour))
	look("it is there", now, true)
	look("it is the same", now, false)
	write("", now)
	look("it is being written", now.Add(allowSettles/2), false)
	write(somePeer+"\n"+otherPeer, now.Add(allowSettles/2))
	look("it has just been written", now.Add(allowSettles), false)
	look("it was written", now.Add(2*allowSettles), true)
	look("it is the same again", now.Add(time.Hour), false)
	write(otherPeer, now.Add(2*time.Hour))
	look("its date is ahead", now.Add(time.Hour), true)
}
