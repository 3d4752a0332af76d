package bus

import (
	"context"
	"errors"
	"fmt"

	"github.com/busnode/busnode/gossip/driver"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
	"github.com/busnode/busnode/p2p"
	"github.com/busnode/busnode/p2p/multicast"
	"github.com/busnode/busnode/p2p/multicast/groupkey"
	"github.com/busnode/busnode/p2p/streams"
)

// Errors that callers test with [errors.Is].
var (
	ErrClosed        = errors.New("bus: closed")
	ErrConfig        = errors.New("bus: invalid option or argument")
	ErrTopic         = errors.New("bus: invalid topic")
	ErrFilter        = errors.New("bus: invalid filter")
	ErrTooLarge      = errors.New("bus: event too large")
	ErrBacklog       = errors.New("bus: too many own events that no other node holds")
	ErrFull          = errors.New("bus: no space left for the log")
	ErrClock         = errors.New("bus: the clock is off")
	ErrInUse         = errors.New("bus: in use")
	ErrIdentityInUse = errors.New("bus: identity in use by another node")
	ErrOtherNetwork  = errors.New("bus: peer of another network, or with another network key")
	ErrNotFound      = errors.New("bus: not found")
	ErrLagged        = errors.New("bus: subscription lagged behind retention")
	ErrGap           = errors.New("bus: events that nobody could supply")
	ErrDecode        = errors.New("bus: cannot decode event")
)

// GapError reports, in a subscription's own sequence, a stretch of one
// author's events that no reachable node could supply. It wraps [ErrGap]. What
// turns up of it later has [Event].Late set.
type GapError struct {
	Topic    string
	Author   PeerID
	From, To Mark   // both inclusive; To's epoch may be later than From's
	Reason   string // "lost", "trimmed", or "damaged" when the log's own copy was and nobody had another
	Lost     uint64 // events in the gap; 0 when unknown, for the gap spans epochs
}

func (e *GapError) Error() string {
	return fmt.Sprintf("bus: gap on %q: events %v to %v of %s: %s", e.Topic, e.From, e.To, e.Author, e.Reason)
}

// Unwrap returns [ErrGap].
func (e *GapError) Unwrap() error { return ErrGap }

// LagError reports that events were gone from this node's log before the
// subscription came to them: removed by retention, or lost with a damaged part
// of a file, in which case what peers still hold comes again as late. It wraps
// [ErrLagged], and comes once for each stretch.
type LagError struct {
	Topic string
	From  uint64 // first offset that is gone
	Lost  uint64 // offsets that are gone
}

func (e *LagError) Error() string {
	return fmt.Sprintf("bus: subscription of %q lagged: %d events from offset %d on are gone from the log",
		e.Topic, e.Lost, e.From)
}

// Unwrap returns [ErrLagged].
func (e *LagError) Unwrap() error { return ErrLagged }

// DecodeError reports events that the codec, or this version of the program,
// cannot read. It wraps [ErrDecode] and the cause.
type DecodeError struct {
	Event Event[[]byte] // as it came; without payload if the batch itself is unreadable
	Count uint64        // events concerned, from Event on: 1, or what is left of an unreadable batch
	Err   error
}

func (e *DecodeError) Error() string {
	return fmt.Sprintf("bus: cannot decode %d event(s) from %v on: %v", e.Count, e.Event.ID, e.Err)
}

// Unwrap returns [ErrDecode] and the cause.
func (e *DecodeError) Unwrap() []error { return []error{ErrDecode, e.Err} }

// boundary pairs the errors of the layers below with the bus's own.
var boundary = []struct{ below, ours error }{
	{driver.ErrTooLarge, ErrTooLarge},
	{driver.ErrBacklog, ErrBacklog},
	{driver.ErrClock, ErrClock},
	{driver.ErrIdentityInUse, ErrIdentityInUse},
	{driver.ErrConfig, ErrConfig},
	{wire.ErrTopic, ErrTopic},
	{wire.ErrFilter, ErrFilter},
	{wire.ErrTooLarge, ErrTooLarge},
	{eventlog.ErrFull, ErrFull},
	{eventlog.ErrLocked, ErrInUse},
	{eventlog.ErrNotFound, ErrNotFound},
	{p2p.ErrOtherNetwork, ErrOtherNetwork},
	{p2p.ErrListen, ErrConfig},
	{streams.ErrHostTaken, ErrInUse},
	{p2p.ErrConfig, ErrConfig},
	{p2p.ErrHostKey, ErrConfig},
	{p2p.ErrFileMode, ErrConfig},
	{p2p.ErrKeyFile, ErrConfig},
	{groupkey.ErrConfig, ErrConfig},
	{groupkey.ErrFile, ErrConfig},
	{groupkey.ErrFileMode, ErrConfig},
	{groupkey.ErrHostTaken, ErrInUse},
	{multicast.ErrConfig, ErrConfig},
}

// translate makes an error of the layers below one of the bus's, keeping the
// cause. That something below is closed means that the bus is.
func translate(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, driver.ErrClosed), errors.Is(err, eventlog.ErrClosed):
		return ErrClosed
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	for _, b := range boundary {
		if errors.Is(err, b.ours) {
			return err
		}
		if errors.Is(err, b.below) {
			return fmt.Errorf("%w: %w", b.ours, err)
		}
	}
	return err
}
