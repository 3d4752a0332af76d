package p2p

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/pnet"

	"github.com/busnode/busnode/gossip/wire"
)

// NetworkKeyBytes is the length of a network key.
const NetworkKeyBytes = 32

// DefaultNetwork is the name of the network that nodes join unless told otherwise.
const DefaultNetwork = "busnode"

// Errors of a network's settings, which callers test with [errors.Is].
var (
	ErrNetworkName = errors.New("p2p: invalid network name")
	ErrNetworkKey  = errors.New("p2p: invalid network key")
)

// GenerateNetworkKey returns a new network key.
func GenerateNetworkKey() []byte {
	key := make([]byte, NetworkKeyBytes)
	_, _ = rand.Read(key) // never fails
	return key
}

// FormatNetworkKey returns the text of a key's file, in the format of libp2p's
// and IPFS' swarm keys: two lines that name the format, and the key in hexadecimal.
func FormatNetworkKey(key []byte) []byte {
	return fmt.Appendf(nil, "/key/swarm/psk/1.0.0/\n/base16/\n%s\n", hex.EncodeToString(key))
}

// LoadNetworkKey reads a key in the format of libp2p's swarm keys (/base16/,
// /base64/ or /bin/). The error wraps ErrFileMode, ErrKeyFile or the file system's.
func LoadNetworkKey(path string) ([]byte, error) {
	b, err := readSecret(path)
	if err != nil {
		return nil, err
	}
	key, err := pnet.DecodeV1PSK(bytes.NewReader(b))
	if err != nil {
		return nil, fmt.Errorf("%w: network key %s: %w", ErrKeyFile, path, err)
	}
	return key, nil
}

// WriteNetworkKey writes a key to a new file of mode 0600. The error wraps
// [io/fs.ErrExist] if there is a file: a key in use is not replaced.
func WriteNetworkKey(path string, key []byte) error {
	if len(key) != NetworkKeyBytes {
		return fmt.Errorf("%w: %d bytes, want %d", ErrNetworkKey, len(key), NetworkKeyBytes)
	}
	if err := createSecret(path, FormatNetworkKey(key)); err != nil {
		return fmt.Errorf("p2p: write the network key: %w", err)
	}
	return nil
}

// checkNetwork reports what is wrong with a name and key.
func checkNetwork(name string, key []byte) error {
	var errs []error
	if err := wire.ValidNetwork(name); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", ErrNetworkName, err))
	}
	if len(key) != 0 && len(key) != NetworkKeyBytes {
		errs = append(errs, fmt.Errorf("%w: %d bytes, want %d", ErrNetworkKey, len(key), NetworkKeyBytes))
	}
	return errors.Join(errs...)
}

// derive returns 32 bytes for one purpose that only those can compute who know
// the network's name and key.
func derive(purpose, name string, key []byte) []byte {
	secret, err := hkdf.Key(sha256.New, key, nil, "busnode 1 "+purpose+"\x00"+name, 32)
	if err != nil {
		panic(err) // only for a length above 255 hashes
	}
	return secret
}
