package p2p_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/busnode/busnode/p2p"
)

type protocolID = protocol.ID

func newKey() (ed25519.PublicKey, ed25519.PrivateKey, error) { return ed25519.GenerateKey(nil) }

func TestIdentityIsCreatedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity")
	var mu sync.Mutex
	var keys []ed25519.PrivateKey
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			key, err := p2p.LoadOrCreateIdentity(path)
			if err != nil {
				t.Errorf("LoadOrCreateIdentity: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			keys = append(keys, key)
		})
	}
	wg.Wait()
	for _, key := range keys {
		if !bytes.Equal(key, keys[0]) {
			t.Fatal("two calls got different identities")
		}
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode())
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) != 0 {
		t.Errorf("temporary files are left: %v", left)
	}
}

func TestKeyFilesOpenToOthersAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such file modes")
	}
	dir := t.TempDir()
	identity, network := filepath.Join(dir, "identity"), filepath.Join(dir, "psk")
	if _, err := p2p.LoadOrCreateIdentity(identity); err != nil {
		t.Fatal(err)
	}
	if err := p2p.WriteNetworkKey(network, p2p.GenerateNetworkKey()); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{identity, network} {
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p2p.LoadOrCreateIdentity(identity); !errors.Is(err, p2p.ErrFileMode) {
		t.Errorf("identity: %v, want ErrFileMode", err)
	}
	if _, err := p2p.LoadNetworkKey(network); !errors.Is(err, p2p.ErrFileMode) {
		t.Errorf("network key: %v, want ErrFileMode", err)
	}
}

func TestBrokenKeyFilesAreRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for _, content := range []string{"", "nonsense", "/key/swarm/psk/1.0.0/\n/base16/\nabcd\n"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := p2p.LoadOrCreateIdentity(path); !errors.Is(err, p2p.ErrKeyFile) {
			t.Errorf("identity %q: %v, want ErrKeyFile", content, err)
		}
		if _, err := p2p.LoadNetworkKey(path); !errors.Is(err, p2p.ErrKeyFile) {
			t.Errorf("network key %q: %v, want ErrKeyFile", content, err)
		}
	}
}

func TestNetworkKeyFormats(t *testing.T) {
	key := p2p.GenerateNetworkKey()
	path := filepath.Join(t.TempDir(), "psk")
	if err := p2p.WriteNetworkKey(path, key); err != nil {
		t.Fatal(err)
	}
	if err := p2p.WriteNetworkKey(path, key); !errors.Is(err, fs.ErrExist) {
		t.Errorf("a second key: %v, want ErrExist", err)
	}
	contents := []string{
		string(p2p.FormatNetworkKey(key)),
		fmt.Sprintf("/key/swarm/psk/1.0.0/\n/base16/\n%s", hex.EncodeToString(key)),
		fmt.Sprintf("/key/swarm/psk/1.0.0/\n/base64/\n%s\n", base64.StdEncoding.EncodeToString(key)),
		"/key/swarm/psk/1.0.0/\r\n/bin/\n" + string(key),
	}
	for _, content := range contents {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := p2p.LoadNetworkKey(path); err != nil || !bytes.Equal(got, key) {
			t.Errorf("%q: %x, %v; want %x", content, got, err, key)
		}
	}
}
