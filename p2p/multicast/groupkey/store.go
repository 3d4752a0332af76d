package groupkey

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Errors of the file, which callers test with [errors.Is].
var (
	// ErrFile says that the file is not one of a group key, or of another network's.
	ErrFile = errors.New("groupkey: not a group key's file")
	// ErrFileMode says that others than the owner may read the file.
	ErrFileMode = errors.New("groupkey: file is open to others")
)

const (
	fileVersion  = 1
	fileBytesMax = 1 << 20
)

// file is what is kept between runs. The list tells, at the next start, whether
// somebody was taken off it meanwhile.
type file struct {
	Version int       `json:"version"`
	Network string    `json:"network"`
	Offer   string    `json:"offer"` // records in hexadecimal
	Sealing string    `json:"sealing,omitempty"`
	Old     string    `json:"old,omitempty"`
	Retired time.Time `json:"retired,omitzero"`
	Allowed []string  `json:"allowed"`
}

// load reads the ring and the list that it was last used with. Without a file
// the error wraps [fs.ErrNotExist].
func load(path, network string) (ring, []peer.ID, error) {
	b, err := readOwn(path)
	if err != nil {
		return ring{}, nil, err
	}
	var f file
	if err := json.Unmarshal(b, &f); err != nil {
		return ring{}, nil, fmt.Errorf("%w: %s: %w", ErrFile, path, err)
	}
	g, allowed, err := f.parse(network)
	if err != nil {
		return ring{}, nil, fmt.Errorf("%w: %s: %w; remove it, and peers give the key again", ErrFile, path, err)
	}
	return g, allowed, nil
}

func (f *file) parse(network string) (g ring, allowed []peer.ID, err error) {
	switch {
	case f.Version != fileVersion:
		return g, nil, fmt.Errorf("version %d", f.Version)
	case f.Network != network:
		return g, nil, fmt.Errorf("it is of network %q, not %q", f.Network, network)
	}
	offer, err := parseText(f.Offer)
	if err != nil || offer == nil {
		return g, nil, errors.Join(ErrRecord, err)
	}
	g.offer, g.retired = *offer, f.Retired
	var sealingErr, oldErr error
	g.sealing, sealingErr = parseText(f.Sealing)
	g.old, oldErr = parseText(f.Old)
	if err := errors.Join(sealingErr, oldErr); err != nil {
		return ring{}, nil, err
	}
	for _, text := range f.Allowed {
		p, err := peer.Decode(text)
		if err != nil {
			return ring{}, nil, err
		}
		allowed = append(allowed, p)
	}
	return g, allowed, nil
}

// parseText returns nil for no text.
func parseText(text string) (*record, error) {
	if text == "" {
		return nil, nil
	}
	b, err := hex.DecodeString(text)
	if err != nil {
		return nil, err
	}
	r, err := parseRecord(b)
	return &r, err
}

func formatText(r *record) string {
	if r == nil {
		return ""
	}
	return hex.EncodeToString(r.append(nil))
}

// save replaces the file, whole or not at all, with mode 0600.
func save(path, network string, g *ring, allowed []peer.ID) error {
	f := file{
		Version: fileVersion, Network: network, Offer: formatText(&g.offer),
		Sealing: formatText(g.sealing), Old: formatText(g.old), Retired: g.retired, Allowed: []string{},
	}
	for _, p := range allowed {
		f.Allowed = append(f.Allowed, p.String())
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("groupkey: %w", err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*") // with mode 0600
	if err != nil {
		return fmt.Errorf("groupkey: %w", err)
	}
	_, err = tmp.Write(append(b, '\n'))
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // err says what matters
		return fmt.Errorf("groupkey: write %s: %w", path, err)
	}
	return nil
}

// readOwn reads a file that only its owner may read.
func readOwn(path string) ([]byte, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("groupkey: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > fileBytesMax {
		return nil, fmt.Errorf("%w: %s", ErrFile, path)
	}
	// Windows has no such bits.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s has mode %04o; chmod 600 it, or remove it everywhere for a new key if others "+
			"may have read it", ErrFileMode, path, mode)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("groupkey: %w", err)
	}
	return b, nil
}
