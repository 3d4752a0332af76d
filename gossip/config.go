package gossip

import (
	"errors"
	"fmt"
	"time"
)

// Mode says who repairs whom when two nodes compare their sets.
type Mode uint8

// The modes of Demers et al. (PODC 1987), section 1.3.
const (
	PushPull Mode = iota // both sides get what they lack
	Push                 // the one that starts gives what the other lacks
	Pull                 // the one that starts takes what it lacks
)

// ErrConfig is wrapped by what [Config.Validate] reports.
var ErrConfig = errors.New("gossip: invalid config")

// Config holds the parameters of the protocol. The zero value is not valid;
// start from [DefaultConfig].
type Config struct {
	// Degree is how many neighbours a node picks per topic, at least 3: with
	// fewer the overlay of 20 nodes falls apart. Default 8: the mean degree at
	// which a tree per author was measured to be as fast as flooding.
	Degree int

	// HaveDelay is how long word of new heads waits for more, to go in one
	// message. Default 30ms. Less makes WaitHeld faster, more saves messages.
	HaveDelay time.Duration

	// GraftDelay is how long a node that heard of a batch waits for a neighbour
	// to push it before it asks. Default 300ms; it should exceed the time in
	// which a rumor crosses the network, and what a lost packet adds. Measured in the
	// simulator (docs/adr/0021-defaults.md): less repairs what was on its way, more
	// makes a break in a tree last longer.
	GraftDelay time.Duration

	// GapTimeout is how long a batch whose predecessor nobody claims waits
	// before the gap is reported. Default 10s.
	GapTimeout time.Duration

	// WantTimeout is how long an answer may make no progress before another
	// peer is asked. Default 5s.
	WantTimeout time.Duration

	// HeartbeatInterval is the mean time between two heartbeats of a node, each
	// to one neighbour. Default 1s. A year or more is as good as no anti-entropy.
	HeartbeatInterval time.Duration

	// Settle is how far behind the slower clock sets are compared, so that
	// rumors in flight are no difference. Default 2s; it should exceed GraftDelay
	// and a round trip by far.
	Settle time.Duration

	// Mode of anti-entropy. Default PushPull.
	Mode Mode

	// RetainAge is the age below which nothing is accepted or compared. 0: no limit.
	RetainAge time.Duration

	// AuthorsMax bounds the authors whose links are remembered. Default 65,536.
	// One that is not remembered starts from the topic's flags.
	AuthorsMax int

	// TopicsMax bounds the topics known here, and those one peer may announce. Default 65,536.
	TopicsMax int

	// ServeMaxBytes bounds the answer to one want. Default 1 MiB.
	ServeMaxBytes int

	// WantsMax bounds the wants outstanding at one peer. Default 6.
	WantsMax int

	// WorkMax bounds the items that one peer can have us hash for a comparison; so
	// many are allowed at once, and again every 16 seconds. All peers together may have
	// twice as many hashed, and as many every 4 seconds. An exchange keeps
	// 24 bytes of each while it lasts. Default 1,048,576: a tenth of a second of work.
	WorkMax int

	// Topics sets how rumors spread on some topics: the first whose filter matches
	// holds. The others have a tree per author, and anti-entropy. Default none.
	Topics []TopicConfig
	// PeersMax is the number of connections above which some are ended that serve
	// nobody's need, and no more are wished for. Default 64.
	PeersMax int

	// PassiveMax bounds the peers that are known and not up, for each topic.
	// Default 30, as in HyParView (DSN 2007).
	PassiveMax int

	// KnownMax bounds the same for all topics together, at least PassiveMax.
	// Default 1,024. Each takes a record of some 300 bytes, of 2 KiB at most.
	KnownMax int

	// ShuffleInterval is the mean time between two shuffles of a node while they
	// bring something new. Default 30s. They come up to 30 times as often while a
	// topic lacks peers, and an eighth as often when nothing new comes of them.
	ShuffleInterval time.Duration

	// NoPeerExchange turns shuffles off: none is begun, answered or listened to.
	NoPeerExchange bool

	// Multicast says when batches go to segments. Default MulticastFallback.
	Multicast Multicast

	// DemeritsMax is how often a peer may break the rules before it is dropped; one
	// time a minute is forgotten. Default 64.
	DemeritsMax int
}

// DefaultConfig returns the parameters for a LAN or a good WAN.
func DefaultConfig() Config {
	return Config{
		Degree:            8,
		HaveDelay:         30 * time.Millisecond,
		GraftDelay:        300 * time.Millisecond,
		GapTimeout:        10 * time.Second,
		WantTimeout:       5 * time.Second,
		HeartbeatInterval: time.Second,
		Settle:            2 * time.Second,
		AuthorsMax:        1 << 16,
		TopicsMax:         1 << 16,
		ServeMaxBytes:     1 << 20,
		WantsMax:          6,
		WorkMax:           1 << 20,
		DemeritsMax:       64,
		PeersMax:          64,
		PassiveMax:        30,
		KnownMax:          1024,
		ShuffleInterval:   30 * time.Second,
	}
}

const (
	degreeMin       = 3
	beatIntervalMax = 10 * 365 * 24 * time.Hour // so that no sum of instants overflows
)

// Validate reports every field that is out of range, joined.
func (c Config) Validate() error {
	var errs []error
	bad := func(name string, got any, want string) {
		errs = append(errs, fmt.Errorf("%w: %s = %v, want %s", ErrConfig, name, got, want))
	}
	for _, n := range []struct {
		name string
		got  int
	}{
		{"AuthorsMax", c.AuthorsMax},
		{"TopicsMax", c.TopicsMax},
		{"ServeMaxBytes", c.ServeMaxBytes},
		{"WantsMax", c.WantsMax},
		{"WorkMax", c.WorkMax},
		{"DemeritsMax", c.DemeritsMax},
		{"PassiveMax", c.PassiveMax},
	} {
		if n.got < 1 {
			bad(n.name, n.got, ">= 1")
		}
	}
	if c.Degree < degreeMin {
		bad("Degree", c.Degree, ">= 3")
	}
	for _, d := range []struct {
		name string
		got  time.Duration
	}{
		{"HaveDelay", c.HaveDelay},
		{"GraftDelay", c.GraftDelay},
		{"GapTimeout", c.GapTimeout},
		{"WantTimeout", c.WantTimeout},
		{"HeartbeatInterval", c.HeartbeatInterval},
		{"Settle", c.Settle},
		{"ShuffleInterval", c.ShuffleInterval},
	} {
		if d.got <= 0 {
			bad(d.name, d.got, "> 0")
		}
	}
	if c.PeersMax < c.Degree {
		bad("PeersMax", c.PeersMax, ">= Degree")
	}
	if c.KnownMax < c.PassiveMax {
		bad("KnownMax", c.KnownMax, ">= PassiveMax")
	}
	if c.RetainAge < 0 {
		bad("RetainAge", c.RetainAge, ">= 0")
	}
	if c.HeartbeatInterval > beatIntervalMax {
		bad("HeartbeatInterval", c.HeartbeatInterval, "<= "+beatIntervalMax.String())
	}
	for i, t := range c.Topics {
		t.validate(fmt.Sprintf("Topics[%d].", i), bad)
	}
	if c.Settle <= c.GraftDelay {
		bad("Settle", c.Settle, "> GraftDelay")
	}
	if c.Multicast > MulticastAlways {
		bad("Multicast", c.Multicast, "MulticastFallback, MulticastOff or MulticastAlways")
	}
	if c.Mode > Pull {
		bad("Mode", c.Mode, "PushPull, Push or Pull")
	}
	return errors.Join(errs...)
}
