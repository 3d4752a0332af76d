package bus

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
)

const networkKeyBytes = p2p.NetworkKeyBytes

// LoadNetworkKey reads a network key in the file format of libp2p's swarm keys.
// It refuses a file that others than its owner may read. See [WithNetworkKey].
func LoadNetworkKey(file string) ([]byte, error) {
	key, err := p2p.LoadNetworkKey(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return key, nil
}

// network is how the node reaches others: libp2p, or the carriers that it was given.
type network struct {
	signer   wire.Signer
	carriers []carrier.Carrier
	node     *p2p.Node     // nil with carriers of the user's
	changed  chan struct{} // never signals without a node
}

func openNetwork(ctx context.Context, o *options) (*network, error) {
	key, err := identity(o)
	if err != nil {
		return nil, err
	}
	n := &network{signer: wire.NewSigner(key), carriers: o.carriers, changed: make(chan struct{})}
	if len(o.carriers) > 0 {
		return n, nil
	}
	return n, n.openNode(ctx, o, key)
}

// identity returns the node's key: the user's, the host's, the data directory's
// or a new one.
func identity(o *options) (ed25519.PrivateKey, error) {
	switch {
	case o.key != nil:
		return o.key, nil
	case o.host != nil:
		return hostKey(o)
	case o.dataDir != "":
		return p2p.LoadOrCreateIdentity(filepath.Join(o.dataDir, "identity"))
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return key, err
}

func hostKey(o *options) (ed25519.PrivateKey, error) {
	key := o.host.Peerstore().PrivKey(o.host.ID())
	if key == nil || key.Type() != crypto.Ed25519 {
		return nil, configError("WithHost: the host's key is not of type Ed25519")
	}
	raw, err := key.Raw()
	if err != nil {
		return nil, fmt.Errorf("%w: WithHost: %w", ErrConfig, err)
	}
	return ed25519.PrivateKey(raw), nil
}

// errNoNode answers what only libp2p can do.
var errNoNode = errors.New("the node runs on carriers of its program's")
