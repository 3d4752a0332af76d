package bus

import (
	"context"
	"errors"
	"iter"

	"github.com/busnode/busnode/gossip"
)

// Presence tells that a peer came to a topic, or left it.
type Presence struct {
	Peer  PeerID
	Topic string
	Up    bool
}

// Watch returns who is there and how that changes: first all peers on all
// topics that this node shares with them, each as Up, then every change. The
// last element, unless the loop is left, is an error: [ErrClosed] or ctx's cause.
// A slow reader may miss that a peer left and came back, never the state after it.
func (b *Bus) Watch(ctx context.Context) iter.Seq2[Presence, error] {
	return func(yield func(Presence, error) bool) {
		ctx, cancel := context.WithCancel(ctx) // ends the driver's watch when the loop is left
		defer cancel()
		w := watch{bus: b, yield: yield, up: map[presenceKey]bool{}}
		err := w.run(ctx)
		if err != nil && !errors.Is(err, errLeft) {
			yield(Presence{}, err)
		}
	}
}

type presenceKey struct {
	peer  PeerID
	topic string
}

// errLeft says that the loop was left.
var errLeft = errors.New("bus: loop left")

// watch turns the driver's notices into a sequence without repetitions.
type watch struct {
	bus   *Bus
	yield func(Presence, error) bool
	up    map[presenceKey]bool
}

// run lists who is there, then follows the notices; when the driver ended them,
// for they came faster than they were read, it starts over.
func (w *watch) run(ctx context.Context) error {
	for {
		notices, err := w.bus.driver.Watch(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			return translate(err)
		}
		if err := w.list(); err != nil {
			return err
		}
		if err := w.follow(notices); err != nil {
			return err
		}
	}
}

// list compares what was told with what is.
func (w *watch) list() error {
	now := map[presenceKey]bool{}
	for _, p := range w.bus.driver.Peers() {
		id := peerIDOf(p.ID)
		for _, topic := range p.Topics {
			k := presenceKey{id, topic}
			now[k] = true
			if err := w.tell(k, true); err != nil {
				return err
			}
		}
	}
	for k := range w.up {
		if now[k] {
			continue
		}
		if err := w.tell(k, false); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) follow(notices <-chan gossip.Notice) error {
	for n := range notices {
		if n.Kind != gossip.NoticePeerUp && n.Kind != gossip.NoticePeerDown {
			continue
		}
		if err := w.tell(presenceKey{peerIDOf(n.Peer), n.Topic}, n.Kind == gossip.NoticePeerUp); err != nil {
			return err
		}
	}
	return nil
}

func (w *watch) tell(k presenceKey, up bool) error {
	if w.up[k] == up {
		return nil
	}
	if up {
		w.up[k] = true
	} else {
		delete(w.up, k)
	}
	if !w.yield(Presence{Peer: k.peer, Topic: k.topic, Up: up}, nil) {
		return errLeft
	}
	return nil
}
