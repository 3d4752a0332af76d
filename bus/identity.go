package bus

import (
	"fmt"

	"github.com/busnode/busnode/gossip/wire"
)

// PeerID names a node: the text form of its libp2p peer ID, "12D3KooW…". An
// event's author is named by the peer ID of its key.
type PeerID string

// ParsePeerID checks that s is the text of a peer ID. The error wraps [ErrConfig].
func ParsePeerID(s string) (PeerID, error) {
	id, err := PeerID(s).wire()
	if err != nil {
		return "", err
	}
	return peerIDOf(id), nil
}

// String returns the text.
func (p PeerID) String() string { return string(p) }

// wire returns the bytes of the ID.
func (p PeerID) wire() (wire.PeerID, error) {
	id, err := wire.ParsePeerID(string(p))
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return id, nil
}

func (p PeerID) author() (wire.Author, error) {
	id, err := p.wire()
	if err != nil {
		return wire.Author{}, err
	}
	a, ok := wire.AuthorOf(id)
	if !ok {
		return wire.Author{}, configError("peer ID %s is not that of an Ed25519 key", p)
	}
	return a, nil
}

func peerIDOf(p wire.PeerID) PeerID { return PeerID(p.String()) }

func authorIDOf(a wire.Author) PeerID { return peerIDOf(a.PeerID()) }

func (id EventID) wire() (wire.EventID, error) {
	a, err := id.Author.author()
	if err != nil {
		return wire.EventID{}, err
	}
	return wire.EventID{Topic: id.Topic, Author: a, Mark: wire.Mark{Epoch: wire.Epoch(id.Epoch), Seq: id.Seq}}, nil
}
