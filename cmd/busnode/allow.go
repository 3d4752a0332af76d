package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/busnode/busnode/bus"
)

const (
	allowBytesMax = 1 << 20
	allowEvery    = 500 * time.Millisecond // between two looks at the file
	allowSettles  = 300 * time.Millisecond // without a change until it is read: it may be half written
)

// readAllowed returns the peers in the file of --allow. What is wrong in it is
// told with line numbers, all at once.
func readAllowed(path string) ([]bus.PeerID, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, usagef("--allow: %v", err)
	}
	if info.Size() > allowBytesMax {
		return nil, usagef("--allow %s: %d bytes are no list of peers", path, info.Size())
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("--allow: %v", err)
	}
	peers, err := parseAllowed(b)
	if err != nil {
		return nil, usagef("--allow %s: %v", path, err)
	}
	return peers, nil
}

// parseAllowed reads a peer ID a line. From # on a line is a comment.
func parseAllowed(b []byte) ([]bus.PeerID, error) {
	var (
		peers []bus.PeerID
		errs  []error
	)
	lines := bufio.NewScanner(bytes.NewReader(b))
	for n := 1; lines.Scan(); n++ {
		text, _, _ := strings.Cut(lines.Text(), "#")
		text = strings.TrimSpace(text)
		if text == "" {
			continue
		}
		id, err := bus.ParsePeerID(text)
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %q is no peer ID; status shows a node's, 12D3KooW…", n, text))
			continue
		}
		peers = append(peers, id)
	}
	return peers, errors.Join(append(errs, lines.Err())...)
}

// followAllowed gives the bus the list anew whenever its file changes, until
// ctx is done. A list that cannot be read leaves the one before in force.
func followAllowed(ctx context.Context, b *bus.Bus, path string, logger *slog.Logger) {
	tick := time.NewTicker(allowEvery)
	defer tick.Stop()
	file := allowFile{path: path}
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if !file.changed(time.Now()) {
			continue
		}
		peers, err := readAllowed(path)
		if err == nil {
			err = b.Allow(peers...)
		}
		if err != nil {
			logger.Warn("the allow-list stays as it was", "file", path, "err", err)
			continue
		}
		logger.Info("allow-list read", "file", path, "peers", len(peers))
	}
}

// allowFile is the file of --allow, as it was when it was read last.
type allowFile struct {
	path string
	last os.FileInfo // nil: it was not there, or not looked at: it may have changed since the node read it
	gone bool
}

// changed reports whether the file is to be read: it is another than before, or gone. One
// that was written this very moment may be so in part, and whoever is not in that part
// would lose its links and the group's key.
func (f *allowFile) changed(now time.Time) bool {
	info, err := os.Stat(f.path)
	if err != nil {
		was := f.gone
		f.last, f.gone = nil, true
		return !was
	}
	if last := f.last; last != nil && os.SameFile(info, last) &&
		info.ModTime().Equal(last.ModTime()) && info.Size() == last.Size() {
		return false
	}
	if age := now.Sub(info.ModTime()); age >= 0 && age < allowSettles {
		return false
	}
	f.last, f.gone = info, false
	return true
}
