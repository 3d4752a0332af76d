package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"github.com/busnode/busnode/cmd/busnode/internal/quantity"
)

// TestMain lets this binary be busnode when it is started by that name: for
// the scripts, for the tests that run nodes as processes, and for the demo's own nodes.
func TestMain(m *testing.M) {
	testscript.Main(leakTested{m}, map[string]func(){"busnode": main})
}

// leakTested runs the tests and fails if they leave goroutines behind.
type leakTested struct{ m *testing.M }

func (l leakTested) Run() int {
	code := l.m.Run()
	if err := goleak.Find(); code == 0 && err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// waitMax bounds every wait of a test for a process.
const waitMax = 30 * time.Second

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": scriptExits, "addr": scriptAddr, "id": scriptID, "list": scriptList, "until": scriptUntil,
			"mode": scriptMode, "flip": scriptFlip, "bigline": scriptBigLine,
		},
	})
}

// scriptExits runs a command that must end with a given code: exits CODE PROGRAM ARGS…
func scriptExits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// scriptAddr waits for a node to answer and sets a variable to its address: addr VAR DIR
func scriptAddr(ts *testscript.TestScript, _ bool, args []string) {
	addrs, err := awaitAddrs(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Setenv(args[0], addrs[0])
}

// scriptID waits for a node to answer and sets a variable to its ID: id VAR DIR
func scriptID(ts *testscript.TestScript, _ bool, args []string) {
	addrs, err := awaitAddrs(ts.MkAbs(args[1]))
	ts.Check(err)
	_, id, _ := strings.Cut(addrs[0], "/p2p/")
	ts.Setenv(args[0], id)
}

// scriptList writes a file with a line for each argument: list FILE LINE…
func scriptList(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(args[1:], "\n")+"\n"), 0o600))
}

// scriptUntil runs a command until what it prints matches: until PATTERN PROGRAM ARGS…
func scriptUntil(ts *testscript.TestScript, _ bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	for deadline := time.Now().Add(waitMax); ; time.Sleep(20 * time.Millisecond) {
		ts.Check(ts.Exec(args[1], args[2:]...))
		out := ts.ReadFile("stdout")
		if pattern.MatchString(out) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("not in %v: %s in\n%s", waitMax, args[0], out)
		}
	}
}

func awaitAddrs(dir string) ([]string, error) {
	for deadline := time.Now().Add(waitMax); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(dir, "addrs"))
		if err == nil {
			return strings.Fields(string(b)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || time.Now().After(deadline) {
			return nil, fmt.Errorf("no node runs on %s: %w", dir, err)
		}
	}
}

// scriptMode checks a file's permissions: mode 0600 FILE
func scriptMode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := fmt.Sprintf("%04o", info.Mode().Perm()); got != args[0] {
		ts.Fatalf("%s has mode %s, want %s", args[1], got, args[0])
	}
}

// scriptFlip flips a bit of a log's only segment, in the last TEXT up to the
// first LANDMARK: flip DIR TEXT LANDMARK
func scriptFlip(ts *testscript.TestScript, _ bool, args []string) {
	segments, err := filepath.Glob(filepath.Join(ts.MkAbs(args[0]), "*.seg"))
	ts.Check(err)
	if len(segments) != 1 {
		ts.Fatalf("%s has segments %v, want one", args[0], segments)
	}
	b, err := os.ReadFile(segments[0])
	ts.Check(err)
	end := bytes.Index(b, []byte(args[2]))
	at := -1
	if end >= 0 {
		at = bytes.LastIndex(b[:end+len(args[2])], []byte(args[1]))
	}
	if at < 0 {
		ts.Fatalf("%s holds no %q, or no %q before it", segments[0], args[2], args[1])
	}
	b[at] ^= 0x10
	ts.Check(os.WriteFile(segments[0], b, 0o600))
	ts.Logf("flipped a bit of byte %d of %s", at, segments[0])
}

// scriptBigLine writes a short line and one of a given size: bigline SIZE FILE
func scriptBigLine(ts *testscript.TestScript, _ bool, args []string) {
	var z quantity.Size
	ts.Check(z.Set(args[0]))
	b := slices.Concat([]byte("short\n"), bytes.Repeat([]byte("x"), int(z)), []byte("\n"))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), b, 0o600))
}
