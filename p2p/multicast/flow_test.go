package multicast

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p/multicast/segment"
	"github.com/busnode/busnode/p2p/multicast/socket"
)

func TestFramesArriveThroughLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b, c := onWire(t, 0, w, both...), onWire(t, 1, w, both...), onWire(t, 2, w, both...)
		time.Sleep(3 * time.Second)
		w.setLoss(0.2)
		var toAll, toB []string
		for i := range 300 {
			text := fmt.Sprintf("%d", i) + strings.Repeat(".", i*37%5000)
			a.send("segment:eth0", carrier.News, text)
			toAll = append(toAll, fmt.Sprintf("n0/0 %.40s", text))
			if i%10 == 0 {
				a.send(b.Self(), carrier.Repair, text)
				toB = append(toB, fmt.Sprintf("n0/1 %.40s", text))
			}
		}
		time.Sleep(20 * time.Second)
		synctest.Wait()
		for _, n := range []*node{b, c} {
			news, repair := split(take(n, &n.frames))
			if !slices.Equal(news, toAll) {
				t.Errorf("%d of %d frames to all, or in another order", len(news), len(toAll))
				t.Logf("%+v", n.Status().Segments[0].Engine)
				t.Logf("%+v", a.Status().Segments[0].Engine)
			}
			if n == b && !slices.Equal(repair, toB) || n == c && len(repair) > 0 {
				t.Errorf("%d of %d addressed frames", len(repair), len(toB))
			}
		}
		closeNodes(t, a, b, c)
	})
}

// split divides frames by lane.
func split(frames []string) (news, repair []string) {
	for _, f := range frames {
		if strings.Contains(f, "/0 ") {
			news = append(news, f)
		} else {
			repair = append(repair, f)
		}
	}
	return news, repair
}

func TestABlockedHandlerStopsItsLaneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		m := newFakeMachine(1)
		m.plug(2, "eth0", w, both...)
		a, b := onWire(t, 1, w, both...), &node{t: t, machine: m, hold: make(chan struct{})}
		b.Carrier = newOn(t, m, configOf(t, 2))
		if err := b.Start(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		frame := strings.Repeat("x", segment.FrameMaxBytes)
		const sent = 3 * undeliveredMaxBytes / segment.FrameMaxBytes
		for range sent {
			a.send("segment:eth0", carrier.News, frame)
		}
		a.send("segment:eth0", carrier.Repair, "repair")
		b.got(30*time.Second, "n1/1 repair")
		a.Announce([]byte("alive"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if calls := take(b, &b.calls); calls[len(calls)-1] != `member n1 "alive"` {
			t.Errorf("told %q", calls)
		}
		dropped := b.Status().Segments[0].FramesDropped
		if dropped == 0 {
			t.Error("a queue without a bound")
		}
		close(b.hold)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := take(b, &b.frames); len(got)+int(dropped) != sent {
			t.Errorf("%d frames handed on, %d dropped, of %d", len(got), dropped, sent)
		}
		closeNodes(t, a, b)
	})
}

func TestSendWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newEther()
		a, b := onWire(t, 0, w, both...), onWire(t, 1, w, both...)
		time.Sleep(3 * time.Second)
		frame := make([]byte, segment.FrameMaxBytes)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		taken := 0
		for a.Send(ctx, "segment:eth0", carrier.Repair, frame) == nil {
			taken++
		}
		if !errors.Is(ctx.Err(), context.DeadlineExceeded) || taken < 2 || taken > 16 {
			t.Errorf("%d frames were taken at once: %v", taken, ctx.Err())
		}
		a.send("segment:eth0", carrier.News, "news") // does not wait for the other lane
		b.got(time.Second, "n0/0 news")
		begin := time.Now()
		for range 3 {
			a.send("segment:eth0", carrier.Repair, string(frame))
		}
		if took := time.Since(begin); took < 100*time.Millisecond {
			t.Errorf("no room was waited for: %v", took)
		}
		closeNodes(t, a, b)
	})
}

// TestAMembersLastFramesAreHandedOn has what a member sent and its farewell come at once.
func TestAMembersLastFramesAreHandedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newFakeMachine(1)
		m.plug(2, "eth0", newEther(), both...)
		n := startNode(t, 0, m)
		closeNodes(t, n)
		s, err := openStation(n.Carrier, socket.Interface{Index: 2, Name: "eth0", V6: true})
		if err != nil {
			t.Fatal(err)
		}
		s.deliver = newDelivery(n, "segment:eth0")
		member := segment.Member{Peer: wire.Author(keyOf(1).Public().(ed25519.PublicKey)).PeerID()}
		frame := func(text string) segment.Frame {
			return segment.Frame{From: member.Peer, Bytes: []byte(text)}
		}
		s.carryOut(segment.Output{
			Members: []segment.MemberChange{
				{Kind: segment.Up, Member: member},
				{Kind: segment.Down, Member: member, After: 2},
				{Kind: segment.Up, Member: member, After: 2},
				{Kind: segment.Down, Member: member, After: 3},
			},
			Frames: []segment.Frame{frame("one"), frame("two"), frame("anew"), frame("gone")},
		})
		n.got(0, "n1/0 one", "n1/0 two", "n1/0 anew")
		if n := s.counts.refused.Load(); n != 1 {
			t.Errorf("%d frames refused, want 1", n)
		}
		s.closeSocket(socket.IPv6)
		s.deliver.close()
	})
}

// TestWhySendingFailsIsLogged has a station lose its sockets.
func TestWhySendingFailsIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := newFakeMachine(1)
		m.plug(2, "eth0", newEther(), both...)
		n := startNode(t, 0, m, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		closeNodes(t, n)
		log.Reset()
		s, err := openStation(n.Carrier, socket.Interface{Index: 2, Name: "eth0", V6: true})
		if err != nil {
			t.Fatal(err)
		}
		s.write([][]byte{{1}})
		s.closeSocket(socket.IPv6)
		s.write([][]byte{{1}, {2}})
		s.write([][]byte{{3}}) // is logged once
		if got := log.String(); strings.Count(got, "level=WARN") != 1 || !strings.Contains(got, errNoSocket.Error()) {
			t.Errorf("logged %q", got)
		}
		if n := s.counts.sendFailed.Load(); n != 3 {
			t.Errorf("%d datagrams failed, want 3", n)
		}
		close(s.stop)
		log.Reset()
		s.failing = false
		s.write([][]byte{{4}})
		if log.Len() > 0 {
			t.Errorf("logged %q of a farewell", log.String())
		}
	})
}
