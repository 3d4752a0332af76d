package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
)

// socketName is the socket's file in a data directory.
const socketName = "api.sock"

// socketPathMax is the shortest limit of the systems we know, less the final zero.
const socketPathMax = 103

// SocketPath returns the path of a data directory's socket.
func SocketPath(dir string) string { return filepath.Join(dir, socketName) }

// Listen opens the socket of a data directory, with mode 0600, in place of one
// that a dead process left. The caller holds the directory's lock. Closing the
// listener removes the socket.
func Listen(dir string) (net.Listener, error) {
	path := SocketPath(dir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replace old socket: %w", err)
	}
	short, done, err := shorten(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := net.Listen("unix", filepath.Join(short, socketName))
	if err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false) // it would remove the short path; socketListener removes the real one
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect socket: %w", err), l.Close())
	}
	return &socketListener{Listener: l, path: path}, nil
}

type socketListener struct {
	net.Listener
	path string
	once sync.Once
	err  error
}

func (l *socketListener) Close() error {
	l.once.Do(func() { l.err = errors.Join(os.Remove(l.path), l.Listener.Close()) })
	return l.err
}

// Dial connects to the node that runs on a data directory.
func Dial(ctx context.Context, dir string) (net.Conn, error) {
	short, done, err := shorten(dir)
	if err != nil {
		return nil, err
	}
	defer done()
	var d net.Dialer
	return d.DialContext(ctx, "unix", filepath.Join(short, socketName))
}

// shorten returns a path of dir that leaves room for a socket's name within
// the system's limit: dir itself, or a symbolic link until done is called.
func shorten(dir string) (short string, done func(), err error) {
	if len(SocketPath(dir)) <= socketPathMax {
		return dir, func() {}, nil
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", nil, err
	}
	tmp, err := os.MkdirTemp("", "busnode-")
	if err != nil {
		return "", nil, fmt.Errorf("short path of a socket: %w", err)
	}
	done = func() { _ = os.RemoveAll(tmp) } // a link that stays harms nobody
	short = filepath.Join(tmp, "d")
	if err := os.Symlink(abs, short); err != nil {
		done()
		return "", nil, fmt.Errorf("short path of a socket: %w", err)
	}
	return short, done, nil
}

// Pipe is a listener and its dialer within one process.
type Pipe struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// NewPipe returns an open Pipe.
func NewPipe() *Pipe { return &Pipe{conns: make(chan net.Conn), closed: make(chan struct{})} }

// Accept waits for the next Dial.
func (p *Pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Dial connects to whoever accepts.
func (p *Pipe) Dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
		return ours, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Close makes Accept and Dial fail. Connections live on.
func (p *Pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr names the listener.
func (p *Pipe) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
