package streams_test

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/record"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/p2p/streams"
)

func TestARecordThatAnotherPeerSignedIsFalse(t *testing.T) {
	liar, victim := newHost(t, overTCP), newHost(t, overTCP)
	c := streams.New(streams.Config{Host: liar, Secret: []byte("secret")})
	about := peer.PeerRecordFromAddrInfo(peer.AddrInfo{ID: victim.ID(), Addrs: liar.Addrs()})
	envelope, err := record.Seal(about, liar.Peerstore().PrivKey(liar.ID()))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := envelope.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if p, _, err := c.Check(signed); !errors.Is(err, carrier.ErrRecord) {
		t.Errorf("it passes as a record of %v: %v", p, err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}
