package gossip

import (
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// Lane says on which lane a message leaves; the values are those of carrier.Lane.
type Lane uint8

// The lanes.
const (
	News Lane = iota
	Repair
)

// Send is a message to hand to a peer, or to all members of a segment. Exactly one of Msg and Batch is set; a
// Batch leaves as a wire.Push whose bytes the caller reads from the log.
type Send struct {
	To    wire.PeerID
	Lane  Lane
	Msg   wire.Message
	Batch wire.BatchID
	// Offset, on the repair lane: the peer has the batch's bytes up to there. What
	// follows leaves as [wire.Part]s.
	Offset uint32
	Parts  bool // on the repair lane: it leaves in parts, however small it is
}

// Release puts a batch or a gap into the reading order of its topic.
type Release struct {
	ID   wire.BatchID // of a batch
	Late bool         // its gap was reported before
	Gap  *Gap         // instead of a batch
}

// Reasons of a [Gap].
const (
	GapLost         = "lost"         // no reachable peer claims it
	GapTrimmed      = "trimmed"      // older than what is retained
	GapEquivocation = "equivocation" // the author signed two versions of it
)

// Gap is a stretch of an author's events that cannot be had. From and To are
// inclusive; To's epoch may be later than From's.
type Gap struct {
	Topic    string
	Author   wire.Author
	From, To wire.Mark
	Reason   string
}

// Verdict keeps a batch for reconciling and bars it from release.
type Verdict struct {
	ID     wire.BatchID
	Reason wire.Reason
}

// Disconnect asks to drop a peer.
type Disconnect struct {
	Peer   wire.PeerID
	Reason string
	// Surplus: it is one too many, and welcome another time. Else it broke the rules.
	Surplus bool
}

// NoticeKind says what a Notice tells.
type NoticeKind uint8

// The kinds of notices.
const (
	NoticePeerUp        NoticeKind = 1 + iota // Peer holds Topic, or wants it
	NoticePeerDown                            // Peer no longer does
	NoticeAcked                               // a peer's head for (Topic, Author) grew to Mark
	NoticeEquivocation                        // Author signed two batches for one place, Mark
	NoticeIdentityInUse                       // another process publishes with our key
	NoticeClock                               // our clock is off the peers' median by Offset; 0: it is well again
	NoticeRefused                             // Peer refused our batch that ends at Mark, for Reason
	NoticeTopic                               // Topic became known and matches an interest
)

// Notice tells the caller something that needs no action of carrier or log.
type Notice struct {
	Kind   NoticeKind
	Peer   wire.PeerID
	Topic  string
	Author wire.Author
	Mark   wire.Mark
	Reason wire.Reason
	Offset time.Duration
}

// Output is the work the caller must do, in the order of the fields. It is
// valid until the next call of [Core.Take].
//
// Dial are peers that the node wishes to be connected to. Each is answered by
// PeerUp or by [Core.DialFailed]; silence counts as failure in the end. Avoid are
// peers that are about to be disconnected because one side has too many: no other
// part of the program should dial them for minutes, unless there is no other peer.
//
// Persist names received batches to write; their bytes came with Receive.
// Verdicts, then Release, are logged after Persist, in this order and in the
// same append. Then [Core.Stored] or [Core.StoreFailed] must be called for each
// Persist. Send need not wait for the log: what must wait leaves the core
// after Stored.
type Output struct {
	Persist    []wire.BatchID
	Discard    []wire.BatchID // received and not wanted: forget the bytes
	Verdicts   []Verdict
	Release    []Release
	Send       []Send
	Disconnect []Disconnect
	Dial       []wire.Record
	Avoid      []wire.PeerID
	Notices    []Notice
	// Presence is what to tell of this node to all on its segments from now on; nil: what
	// was told holds.
	Presence *wire.Presence
}

// givenOutput holds the slices that the last Take gave away, to be filled again when the next one
// ends the caller's use of them: most rounds of a core send or tell something.
type givenOutput struct {
	send    []Send
	notices []Notice
}

// givenMax bounds the slices that are kept: after a burst, memory matters more.
const givenMax = 16

// swap keeps what out holds and returns an empty output.
func (g *givenOutput) swap(out *Output) Output {
	next := Output{Send: emptied(g.send), Notices: emptied(g.notices)}
	g.send, g.notices = out.Send, out.Notices
	return next
}

// emptied returns a slice for use again. What it referred to is let go of.
func emptied[T any](s []T) []T {
	if cap(s) > givenMax {
		return nil
	}
	clear(s)
	return s[:0]
}

// Stats counts since the start. Whatever is refused, dropped or given up has a
// counter here.
type Stats struct {
	Published, Accepted, Duplicate uint64 // batches
	RepairDuplicate                uint64 // batches asked for that were held when they came
	Repaired                       uint64 // batches that spreading missed: its residue
	Late, Gaps, GapTrimmed         uint64
	RefusedTopic, RefusedOld       uint64
	RefusedNew, RefusedTrimmed     uint64
	RefusedTwin, TrimmedRefused    uint64 // named like another batch; marks of a peer, for their number
	RefusedByPeers                 uint64 // our own batches, by peers
	Equivocations, ForeignEpoch    uint64
	Demerits, Disconnected         uint64
	UnknownMessage, Unsolicited    uint64
	PushesDropped, PushesSuspended uint64 // became lazy word
	Grafts, Prunes                 uint64
	WantsSent, WantsServed         uint64
	WantsUnserved, WantTimeouts    uint64
	AnswersCut, LackRefused        uint64
	BeatsIgnored                   uint64
	Heartbeats, HeartbeatsStale    uint64
	Sessions, SessionsIdle         uint64 // exchanges begun, and those that found nothing
	SessionsStuck, SessionsFailed  uint64 // not decoded; broken off
	OpensRefused, OpensDropped     uint64 // of peers, for their work; of ours, for lack of room
	Symbols, ItemsHashed           uint64 // received; for comparing
	AuthorsForgotten, HeadsRefused uint64
	HeadsUnknown                   uint64 // told by a number that stands for nothing here
	TopicsRefused                  uint64
	StoreFailed, Lost, Restored    uint64
	Shuffles                       uint64 // begun by us
	DialsWished, DialsFailed       uint64
	RecordsRefused                 uint64 // records of peers: no room, unasked for, or of no use before
	PeersSurplus                   uint64 // told that they are one too many

	SegmentPushes, SegmentDropped     uint64 // batches sent to segments; not sent, for its outbox was full
	SegmentAccepted, SegmentDuplicate uint64 // batches that segments brought; that were held when they came
	SegmentUnwanted, SegmentIgnored   uint64 // of topics that are not wanted; messages of peers that streams reach
	SegmentWords, SegmentSwitches     uint64 // heads told to all; times that a segment came into use
	MembersOpened, MembersUntold      uint64 // members that were talked to; what was not said to those that must not be
	MembersRefused                    uint64 // beyond the bound: nothing is known of them
	MembersDeaf                       uint64 // peers that asked for what a segment should have brought them

	// Of topics that are mongered.
	Contacts, ContactsRefused       uint64 // begun by us; of these, refused by the partner
	ContactsDeclined                uint64 // of peers, beyond what is accepted in a cycle
	Hunts                           uint64 // contacts of ours in place of refused ones
	FeedbackKnown, FeedbackNew      uint64 // what partners answered of our rumors
	FeedbackStray                   uint64 // answers about what was offered to nobody, or is no rumor any more
	RumorsRemoved                   uint64 // that we lost interest in, or that were trimmed
	RumorsUnanswered, RumorsEvicted uint64 // of these, for their age; for room

	RumorsInfective                 int // on all topics that are mongered, now
	Topics, Peers, Authors, Batches int // now
	Passive                         int // peers known and not up, now
	TopicsThin                      int // topics with interest and fewer than two neighbours, now
}
