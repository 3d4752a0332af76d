package streams_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/streams"
)

func directly(t *testing.T) context.Context {
	return network.WithForceDirectDial(t.Context(), "test")
}

func TestStrangerWithGarbageGetsNothing(t *testing.T) {
	node, stranger := newHost(t, overTCP), newHost(t, overTCP)
	c, h := startOn(t, streams.Config{Host: node, OwnHost: true})
	connect(t, stranger, node)
	for _, id := range []protocol.ID{streams.NewsID, streams.RepairID} {
		s, err := stranger.NewStream(t.Context(), node.ID(), id)
		if err != nil {
			t.Fatal(err)
		}
		garbage := make([]byte, 1<<16)
		_, _ = rand.Read(garbage)
		_, _ = s.Write(garbage) // the node may have gone already
		if err := s.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		var answer bytes.Buffer
		_, _ = io.Copy(&answer, s) // ends with a reset
		if answer.Len() > 64 {
			t.Errorf("%d bytes were answered to garbage", answer.Len())
		}
	}
	if len(h.ups) != 0 || !c.Refuses(stranger.ID()) {
		t.Errorf("%d links; refused: %v", len(h.ups), c.Refuses(stranger.ID()))
	}
	stats := c.Stats()
	if stats.HandshakesFailed+stats.HandshakesRefused != 2 || stats.HandshakesFailed == 0 {
		t.Errorf("stats %+v, want a handshake that failed and one that failed or was refused", stats)
	}
}

func TestNodeProvesNothingToThoseWhoOnlyConnect(t *testing.T) {
	node, stranger := newHost(t, overTCP), newHost(t, overTCP)
	_, h := startOn(t, streams.Config{Host: node, OwnHost: true})
	asked := make(chan struct{}, 1)
	stranger.SetStreamHandler(streams.NewsID, func(s network.Stream) {
		asked <- struct{}{}
		_ = s.Reset()
	})
	connect(t, stranger, node)
	// A friend's link comes up; meanwhile the stranger would have been asked.
	friend := newHost(t, overTCP)
	startOn(t, streams.Config{Host: friend, OwnHost: true})
	connect(t, friend, node)
	await(t, "LinkUp", h.ups)
	if len(asked) != 0 {
		t.Error("the node opened a stream to a stranger that dialled it")
	}
}

func TestIdleStrangersDoNotKeepOthersOut(t *testing.T) {
	node, stranger := newHost(t, overTCP), newHost(t, overTCP)
	c, h := startOn(t, streams.Config{Host: node, OwnHost: true})
	connect(t, stranger, node)
	for range 100 {
		s, err := stranger.NewStream(t.Context(), node.ID(), streams.NewsID)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte{0}); err != nil {
			break // reset: there is no slot
		}
	}
	friend := newHost(t, overTCP)
	startOn(t, streams.Config{Host: friend, OwnHost: true})
	began := time.Now()
	connect(t, friend, node)
	await(t, "LinkUp", h.ups)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the friend's link took %v", took)
	}
	if refused := c.Stats().HandshakesRefused; refused == 0 {
		t.Error("the number of handshakes under way has no limit")
	}
}

func TestManyIdleStrangersDoNotKeepOthersOut(t *testing.T) {
	node := newHost(t, overTCP)
	c, h := startOn(t, streams.Config{Host: node, OwnHost: true, HandshakeMax: time.Minute})
	for range 20 { // with four streams each, they want more slots than there are
		stranger := newHost(t, overTCP)
		connect(t, stranger, node)
		for range 4 {
			s, err := stranger.NewStream(t.Context(), node.ID(), streams.NewsID)
			if err != nil {
				t.Fatal(err)
			}
			_, _ = s.Write([]byte{0}) // fails if there is no slot
		}
	}
	for deadline := time.Now().Add(patience); c.Stats().HandshakesRefused == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the number of handshakes under way has no limit")
		}
	}
	friend := newHost(t, overTCP)
	startOn(t, streams.Config{Host: friend, OwnHost: true})
	connect(t, friend, node)
	await(t, "LinkUp", h.ups)
}

func TestFramesPastTheLimitEndTheLink(t *testing.T) {
	a, b := newHost(t, overTCP), newHost(t, overTCP)
	ca, ha := startOn(t, streams.Config{Host: a})
	_, hb := startOn(t, streams.Config{Host: b})
	connect(t, a, b)
	await(t, "LinkUp", ha.ups)
	await(t, "LinkUp", hb.ups)
	big := make([]byte, 4<<20)
	_, _ = rand.Read(big)
	if err := ca.Send(t.Context(), wire.PeerID(b.ID()), carrier.News, big[:7], big[7:]); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "frame", hb.frames); !bytes.Equal(got, big) {
		t.Error("a frame of 4 MiB came as another")
	}
	// The peer's carrier is asked to, so its own protocol is broken under it.
	for _, conn := range a.Network().ConnsToPeer(b.ID()) {
		for _, s := range conn.GetStreams() {
			if s.Protocol() == streams.NewsID && s.Stat().Direction == network.DirOutbound {
				_, _ = s.Write(bytes.Repeat([]byte{0xff}, 10))
			}
		}
	}
	await(t, "LinkDown", hb.downs)
	await(t, "LinkDown", ha.downs)
	await(t, "LinkUp", ha.ups)
	await(t, "LinkUp", hb.ups)
}
