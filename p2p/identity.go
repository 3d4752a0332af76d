package p2p

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// Errors of key files, which callers test with [errors.Is].
var (
	// ErrFileMode says that others than the owner may read a key file.
	ErrFileMode = errors.New("p2p: key file is open to others")
	// ErrKeyFile says that a file does not hold a key of the kind asked for.
	ErrKeyFile = errors.New("p2p: not a key file")
)

const keyFileBytesMax = 4 << 10

// LoadOrCreateIdentity returns the key in the file, which it writes with a new
// key if there is none. The file holds libp2p's private key message (Protocol
// Buffers: type, key), has mode 0600, and appears whole or not at all. Of two
// processes that create it at once, both get the same key.
// The error wraps ErrFileMode, ErrKeyFile or the file system's.
func LoadOrCreateIdentity(path string) (ed25519.PrivateKey, error) {
	key, err := loadIdentity(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	_, key, err = ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("p2p: make an identity: %w", err)
	}
	marshalled, err := marshalIdentity(key)
	if err != nil {
		return nil, err
	}
	if err := createSecret(path, marshalled); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("p2p: write the identity: %w", err)
	}
	return loadIdentity(path)
}

func loadIdentity(path string) (ed25519.PrivateKey, error) {
	b, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(b)
	if err != nil {
		return nil, fmt.Errorf("%w: identity %s: %w", ErrKeyFile, path, err)
	}
	private, err := ed25519Key(key)
	if err != nil {
		return nil, fmt.Errorf("%w: identity %s: %w", ErrKeyFile, path, err)
	}
	return private, nil
}

func marshalIdentity(key ed25519.PrivateKey) ([]byte, error) {
	private, err := crypto.UnmarshalEd25519PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("p2p: identity: %w", err)
	}
	return crypto.MarshalPrivateKey(private)
}

// ed25519Key returns the key inside libp2p's wrapper.
func ed25519Key(key crypto.PrivKey) (ed25519.PrivateKey, error) {
	if key == nil {
		return nil, errors.New("no private key")
	}
	if key.Type() != crypto.Ed25519 {
		return nil, fmt.Errorf("a key of type %s, where Ed25519 is needed", key.Type())
	}
	raw, err := key.Raw()
	if err != nil {
		return nil, err
	}
	return ed25519.PrivateKey(raw), nil
}

// readSecret reads a file that only its owner may read.
func readSecret(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("p2p: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("p2p: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > keyFileBytesMax {
		return nil, fmt.Errorf("%w: %s", ErrKeyFile, path)
	}
	// Windows has no such bits.
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w: %s has mode %04o; chmod 600 it, or make a new key if others may have read it",
			ErrFileMode, path, mode)
	}
	b := make([]byte, info.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("p2p: read %s: %w", path, err)
	}
	return b, nil
}

// createSecret writes a new file of mode 0600, whole or not at all. The error
// wraps [fs.ErrExist] if there is one already.
func createSecret(path string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".tmp*") // with mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(tmp.Name()) }() // what is left of a temporary file harms nobody
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	// Unlike a rename, a link never replaces another process's file.
	if err := os.Link(tmp.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return os.Rename(tmp.Name(), path) // a file system without links
}
