package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// demoProcess is one node of the demo: a process, or the directory that one left.
type demoProcess struct {
	name      string
	dir       string
	args      []string
	listen    string // loopback with any port at first, then with the port it got
	client    *api.Client
	id        string
	addrs     []string
	published int // events, for their payloads

	cmd    *exec.Cmd
	exited chan struct{} // closed when the process has ended
}

// startNode starts the node of that number, connected to others.
func (d *demo) startNode(ctx context.Context, number int, others []*demoProcess) error {
	name := fmt.Sprintf("n%d", number)
	n := &demoProcess{name: name, dir: filepath.Join(d.dir, name), listen: "/ip4/127.0.0.1/tcp/0"}
	n.args = []string{
		"run", "--data", n.dir, "--network", d.network, "--no-mdns", "--topic", demoTopic, "--log-level", "warn",
	}
	for _, o := range others {
		for _, addr := range o.addrs {
			n.args = append(n.args, "--peer", addr)
		}
	}
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return err
	}
	d.nodes = append(d.nodes, n)
	return n.start(ctx)
}

// start starts the process and waits until it answers.
func (n *demoProcess) start(ctx context.Context) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(n.dir, "stderr"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the node has a descriptor of its own
	if err := os.Remove(filepath.Join(n.dir, "addrs")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	n.cmd = &exec.Cmd{
		Path:   exe,
		Args:   append(append([]string{"busnode"}, n.args...), "--listen", n.listen),
		Env:    withoutSettings(os.Environ()),
		Stderr: log,
		// Ctrl-C on a terminal reaches the demo alone, which ends its nodes itself.
		SysProcAttr: apart(),
	}
	if err := n.cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", n.name, err)
	}
	n.exited = make(chan struct{})
	go func() {
		defer close(n.exited)
		_ = n.cmd.Wait() // whoever waits for exited knows why the node ended
	}()
	n.client = api.NewClient(func(ctx context.Context) (net.Conn, error) { return api.Dial(ctx, n.dir) })
	return n.awaitStart(ctx)
}

func (n *demoProcess) awaitStart(ctx context.Context) error {
	cause := timeoutf("%s has not started after %v", n.name, demoPatience)
	ctx, cancel := context.WithTimeoutCause(ctx, demoPatience, cause)
	defer cancel()
	for {
		b, err := os.ReadFile(filepath.Join(n.dir, "addrs"))
		if err == nil {
			return n.learn(ctx, strings.Fields(string(b)))
		}
		select {
		case <-n.exited:
			return fmt.Errorf("%s ended at its start", n.name)
		case <-time.After(demoPoll):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// learn notes who the node is. Its port is kept for the next start, so that
// others find it where it was.
func (n *demoProcess) learn(ctx context.Context, addrs []string) error {
	s, err := n.client.Status(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", n.name, err)
	}
	n.id, n.addrs = s.ID, addrs
	n.listen, _, _ = strings.Cut(addrs[0], "/p2p/")
	return nil
}

// kill ends the process as a power cut would.
func (n *demoProcess) kill() {
	_ = n.cmd.Process.Kill() // fails only if it has ended
	<-n.exited
	n.client.Close()
}

// withoutSettings drops variables that would set flags of the nodes.
func withoutSettings(env []string) []string {
	var out []string
	for _, v := range env {
		if !strings.HasPrefix(v, "BUSNODE_") {
			out = append(out, v)
		}
	}
	return out
}

// end stops all nodes, at once and without waiting long, and removes their data.
func (d *demo) end() {
	d.show.stop()
	var stopping sync.WaitGroup
	for _, n := range d.nodes {
		if n.exited == nil {
			continue // it never started
		}
		stopping.Go(func() {
			_ = n.cmd.Process.Signal(syscall.SIGTERM) // fails only if it has ended
			select {
			case <-n.exited:
				n.client.Close()
			case <-time.After(2 * time.Second):
				n.kill()
			}
		})
	}
	stopping.Wait()
	_ = os.RemoveAll(d.dir) // what is left is in the system's temporary directory
}

// printLogs shows the last lines that each node logged.
func (d *demo) printLogs(w io.Writer) {
	const lines = 5
	for _, n := range d.nodes {
		b, err := os.ReadFile(filepath.Join(n.dir, "stderr"))
		if err != nil {
			continue // it never started
		}
		var tail []string
		for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
			tail = append(tail, s.Text())
		}
		for _, line := range tail[max(0, len(tail)-lines):] {
			fmt.Fprintf(w, "%s: %s\n", n.name, line)
		}
	}
}
