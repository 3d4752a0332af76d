package driver

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/busnode/busnode/gossip"
	"github.com/busnode/busnode/gossip/carrier"
	"github.com/busnode/busnode/gossip/eventlog"
	"github.com/busnode/busnode/gossip/wire"
)

// Bounds of what a driver holds in memory. Each says what happens at it.
const (
	inboxCap = 512 // inputs waiting for the loop; then carriers are not read from
	batchMax = 128 // inputs handled before the core's output is carried out

	// unwrittenMaxBytes bounds own batches that are sealed and not yet written;
	// then events gather in the open batches, and publishers wait for room there.
	unwrittenMaxBytes = 8 << 20
	// coalesceBytes is the body at which an open batch is sealed although the
	// batch before it is still on its way: below, a signature of 21 µs and a
	// verification of 45 µs cost more than the events they are for.
	coalesceBytes = 64 << 10

	// arrivedMaxBytes bounds received batches that are not yet written; then
	// peers are not read from, those with the most first.
	arrivedMaxBytes = 64 << 20
	recentMaxBytes  = 32 << 20 // batches whose bytes are at hand for pushing; others are read from the log

	pushesMax      = 8192      // pushes waiting in one outbox; then they become lazy word. The core's answers fit
	newsMaxBytes   = 4 << 20   // the same in bytes, on the news lane
	repairMaxBytes = 8 << 20   // and on the repair lane
	controlMax     = 4 << 20   // bytes of control messages waiting in one outbox; then the peer is dropped
	frameBytes     = 256 << 10 // what is gathered into one frame
	// A batch above the first leaves the repair lane in parts of at most wire.PartMaxBytes:
	// what an author coalesces stays whole, for on a fast link parts cost an eighth of
	// the throughput. On a slow one the peer asks for parts. A limited link has an
	// allowance (128 KiB where a relay does not say more), and is cut when it is used up:
	// what it carried until then shall not be lost.
	partsAboveBytes        = 320 << 10
	limitedPartsAboveBytes = 16 << 10
	limitedPartBytes       = 8 << 10 // of a batch in one part over a limited link
	// On a segment, where sending is slow and what is lost is a frame, a batch above the
	// first leaves in parts on both lanes: whoever waits for it sees that it is on its way.
	segmentPartsAboveBytes = 32 << 10
	segmentPartBytes       = 16 << 10

	// shortPushMaxBytes bounds batches that are pushed in short, for a short push is copied
	// where it arrives: of a larger batch it would save less than 3 %.
	shortPushMaxBytes = 4 << 10

	messagesMax = 16 << 10 // messages in one frame that is received: more than fit into what is gathered

	watchCap = 256 // notices waiting for one watcher; then its channel is closed

	retryInterval = time.Second // between attempts to write again after the log failed
)

// Config is what a [Driver] is made of. Start from [DefaultConfig].
type Config struct {
	Signer   wire.Signer       // the node's identity; required
	Network  string            // the network's name, in every signature's domain; required
	Gossip   gossip.Config     // the protocol's parameters
	Log      eventlog.Log      // required; owned by the caller, who closes it after the driver
	Carriers []carrier.Carrier // started and closed by the driver
	Logger   *slog.Logger      // nil: slog.Default()

	// EventMaxBytes bounds key, headers and payload of one event.
	// Default wire.EventMaxBytes; at most wire.BodyMaxBytes less a kilobyte.
	EventMaxBytes int

	// Limits bound what the log retains. Default: none. An age must equal
	// Gossip.RetainAge, which is set from it when it is zero.
	Limits eventlog.Limits

	// RetainEvery is how often the limits are applied, beside when much was
	// written. Default 10s.
	RetainEvery time.Duration

	// Compress packs bodies with zstd where that pays. Default off: on a LAN
	// it costs more than it saves.
	Compress bool

	// BuildTime bounds the clock from below, for boxes without a clock battery.
	BuildTime time.Time

	// Seed decides what the core draws by chance. 0: drawn from crypto/rand.
	Seed uint64
}

// DefaultConfig returns a Config that lacks only what is required.
func DefaultConfig() Config {
	return Config{
		Gossip:        gossip.DefaultConfig(),
		EventMaxBytes: wire.EventMaxBytes,
		RetainEvery:   10 * time.Second,
	}
}

// Validate reports every field that is missing or out of range, joined.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: %s", ErrConfig, fmt.Sprintf(format, args...)))
	}
	if c.Signer == nil {
		bad("no Signer")
	}
	if c.Log == nil {
		bad("no Log")
	}
	if err := wire.ValidNetwork(c.Network); err != nil {
		bad("Network: %v", err)
	}
	if c.EventMaxBytes < 0 || c.EventMaxBytes > eventMaxCeiling {
		bad("EventMaxBytes = %d, want 0 to %d", c.EventMaxBytes, eventMaxCeiling)
	}
	if c.RetainEvery < 0 {
		bad("RetainEvery = %v, want >= 0", c.RetainEvery)
	}
	l := c.Limits
	if l.Age < 0 || l.Bytes < 0 || l.TopicBytes < 0 || l.AuthorBytes < 0 {
		bad("Limits = %+v, want no negative ones", l)
	}
	if c.Gossip.RetainAge != 0 && c.Gossip.RetainAge != l.Age {
		bad("Gossip.RetainAge = %v, want Limits.Age = %v", c.Gossip.RetainAge, l.Age)
	}
	if err := c.Gossip.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("%w: %w", ErrConfig, err))
	}
	return errors.Join(errs...)
}

// eventMaxCeiling leaves room for what an event's form adds within a body.
const eventMaxCeiling = wire.BodyMaxBytes - 1<<10

// complete fills in what may be left out.
func (c *Config) complete() {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.EventMaxBytes == 0 {
		c.EventMaxBytes = wire.EventMaxBytes
	}
	if c.RetainEvery == 0 {
		c.RetainEvery = 10 * time.Second
	}
	c.Gossip.RetainAge = c.Limits.Age
}
