package streams

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/wire"
)

// endingStream holds some bytes and then ends.
type endingStream struct {
	network.Stream
	io.Reader
	end error
}

func newEndingStream(end error, bytesOf ...byte) *endingStream {
	return &endingStream{Reader: bytes.NewReader(bytesOf), end: end}
}

func (s *endingStream) Read(b []byte) (int, error) {
	n, err := s.Reader.Read(b)
	if err != nil {
		err = s.end
	}
	return n, err
}
func (s *endingStream) SetDeadline(time.Time) error { return nil }
func (s *endingStream) Reset() error                { return nil }

// lanes is a handler that takes frames.
type lanes chan string

func (lanes) LinkUp(carrier.Link)                             {}
func (lanes) LinkDown(wire.PeerID, error)                     {}
func (l lanes) Frame(_ wire.PeerID, _ carrier.Lane, f []byte) { l <- string(f) }

// TestLateRepairStreamOfAnEarlierLinkIsPassedOver: on one connection, links
// follow each other, and the earlier one's stream may be proven in the later's time.
func TestLateRepairStreamOfAnEarlierLinkIsPassedOver(t *testing.T) {
	reset := &network.StreamError{ErrorCode: 0, Remote: true}
	for name, late := range map[string]*endingStream{
		"reset": newEndingStream(reset), "closed": newEndingStream(io.EOF),
	} {
		t.Run(name, func(t *testing.T) {
			testRepairStreams(t, late, func(l *link, frames lanes) {
				if l.ended() {
					t.Fatalf("the link ended with a stream that was not its own: %v", l.reason)
				}
				l.n.offer(&inbound{carrier.Repair, newEndingStream(reset, append(appendFrameHead(nil, 2), "ok"...)...)})
				synctest.Wait()
				if got := <-frames; got != "ok" {
					t.Errorf("frame %q", got)
				}
				if !l.ended() || !errors.Is(l.reason, network.ErrReset) {
					t.Errorf("its own stream was reset, and the link's end is %v", l.reason)
				}
			})
		})
	}
}

func TestRepairStreamWithGarbageEndsTheLink(t *testing.T) {
	garbage := newEndingStream(io.EOF, 0xff, 0xff, 0xff, 0xff, 0x7f)
	testRepairStreams(t, garbage, func(l *link, _ lanes) {
		if !l.ended() || !errors.Is(l.reason, errFrame) {
			t.Errorf("the link's end is %v, want %v", l.reason, errFrame)
		}
	})
}

// testRepairStreams runs f after a link was offered its first stream for repair.
func testRepairStreams(t *testing.T, first *endingStream, f func(*link, lanes)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		frames := make(lanes, 1)
		c := New(Config{})
		c.handler = frames
		l := newLink(newNeighbour(c, "peer"), &lifeStream{}, nil)
		l.n.link.Store(l)
		l.wg.Go(l.readRepair)
		l.n.offer(&inbound{carrier.Repair, first})
		synctest.Wait()
		f(l, frames)
		l.fail(carrier.ErrClosed)
		l.wg.Wait()
		c.cancel()
		c.wg.Wait()
	})
}
