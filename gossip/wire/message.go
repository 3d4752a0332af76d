package wire

// Message is what peers' cores say to each other: one of the pointer types of
// this file. A frame is one or more messages.
type Message interface{ message() }

// Push carries a batch: on the news lane eagerly, or in answer to a [Want].
type Push struct {
	Batch  *Batch
	Repair bool // in answer to a Want: says nothing about the tree
}

// Hello begins what the sender tells a peer on a connection: it forgets what
// it was told on an earlier one. The receiver does likewise if Mine is new to
// it, and says its own Hello and interests again if Yours is not its own Mine:
// what it told so far may have reached the sender before it forgot.
type Hello struct {
	Mine  uint64 // the sender's number for this beginning, not zero
	Yours uint64 // the receiver's, as far as the sender was told; else zero
}

// Interest tells the sender's filters; each message adds to and removes from
// what the earlier ones of the same connection told.
type Interest struct {
	Add, Remove []string
}

// TopicScope says what part of a topic a node holds.
type TopicScope uint32

// The values are on the wire: append only, never reorder.
const (
	ScopeFull TopicScope = 0 // everybody's events
	ScopeOwn  TopicScope = 1 // its own alone: a publish-only node
)

// TopicEntry is a topic of the sender's and what it holds of it.
type TopicEntry struct {
	Name  string
	Scope TopicScope
}

// Topics tells those of the sender's topics that match the receiver's filters.
type Topics struct {
	Add    []TopicEntry // replaces an entry of the same name
	Remove []string
}

// Link says whether the sender gossips the topic with the receiver.
type Link struct {
	Topic string
	Up    bool
}

// Head is what the sender holds of one author on a topic without a gap: the
// events after Base up to and including Head. Base is zero when nothing was
// trimmed or skipped.
type Head struct {
	Author     Author
	Base, Head Mark
}

// Have tells heads: lazy word of what is new, and acknowledgement in one.
type Have struct {
	Topic string
	Heads []Head
}

// Graft asks for the author's batches to be pushed eagerly, Prune for word of
// them only. Both concern the link between sender and receiver alone.
type Graft struct {
	Topic  string
	Author Author
}

// Prune is the opposite of [Graft].
type Prune struct {
	Topic  string
	Author Author
}

// Want asks for batches of one author by place: those that end after After
// and start at or before Upto, oldest first, up to about MaxBytes.
// The answer is Pushes with Repair set, then [Served].
type Want struct {
	ID          uint32 // the sender's number for the request
	Topic       string
	Author      Author
	After, Upto Mark
	MaxBytes    uint32
}

// WantIDs asks for batches by the first 8 bytes of their IDs, in the order
// given, up to about MaxBytes. The answer is as for [Want].
type WantIDs struct {
	ID       uint32
	Topic    string
	Short    []uint64 // first 8 bytes of the IDs, big endian
	MaxBytes uint32
}

// Served ends the answer to a request.
type Served struct {
	ID   uint32
	More bool // there is more than MaxBytes, or than the sender has room for now: ask again
}

// Heartbeat is one digest over all topics that sender and receiver both hold
// in full, of the batches dated from Floor up to but excluding Cut.
type Heartbeat struct {
	Wall   Time // the sender's physical clock
	Floor  Time
	Cut    Time
	Digest uint64
}

// TopicDigest is a node of the tree of topics: all common topics whose
// hash starts with Prefix (Depth hexadecimal digits).
type TopicDigest struct {
	Prefix uint64 // the topic's hash, leading digits; the others are zero
	Depth  uint32 // 0 … 16
	Digest uint64
	Topics uint32 // how many topics are below; 1 and Depth 16: the topic itself
}

// TopicDigests compares nodes of the tree of topics, under the same floor and
// cut at both sides. The receiver answers with the children of those that
// differ, or opens the topic.
type TopicDigests struct {
	Floor, Cut Time
	Nodes      []TopicDigest
}

// RangeDigest sums up the batches of a range: those dated from Low (inclusive)
// to the Low of the next, the last one to the Cut of the message.
type RangeDigest struct {
	Low    Time
	Count  uint32
	Digest uint64
}

// Open starts an exchange on one topic.
type Open struct {
	Session    uint32
	Topic      string
	Nonce      uint64
	Floor, Cut Time
	Ranges     []RangeDigest // ascending by Low; the first Low is Floor
}

// Difference answers an [Open]: what the sender holds in the ranges that
// differ, as keyed short IDs in order of (time, ID).
type Difference struct {
	Session uint32
	Topic   string
	Nonce   uint64
	Ranges  []RangeIDs
	More    bool // the budget ended it: newest ranges came first, open again for the rest
}

// RangeIDs is what a node holds in one range of an [Open].
type RangeIDs struct {
	Index uint32 // of the range in the Open
	IDs   []uint64
}

// Offer tells batches that the receiver of the [Difference] has and its sender
// lacks, by the first 8 bytes of their IDs, in order of (time, ID).
type Offer struct {
	Topic string
	Short []uint64
}

// Reason says why a batch was refused.
type Reason uint32

// The values are on the wire: append only, never reorder.
const (
	ReasonUnknown   Reason = 0
	ReasonTooOld    Reason = 1 // dated below the floor of what is retained
	ReasonTooNew    Reason = 2 // dated more than FutureMax ahead; deferred
	ReasonNetwork   Reason = 3 // signed for another network
	ReasonSignature Reason = 4 // signature or body hash do not fit
	ReasonConflict  Reason = 5 // equivocation, or an epoch that one closed
	ReasonTopic     Reason = 6 // nobody here asked for the topic
)

// Refuse tells the sender of a batch why it was not taken.
type Refuse struct {
	Topic  string
	Author Author
	Mark   Mark
	Reason Reason
}

func (*Push) message()         {}
func (*Interest) message()     {}
func (*Topics) message()       {}
func (*Link) message()         {}
func (*Have) message()         {}
func (*Graft) message()        {}
func (*Prune) message()        {}
func (*Want) message()         {}
func (*WantIDs) message()      {}
func (*Served) message()       {}
func (*Heartbeat) message()    {}
func (*TopicDigests) message() {}
func (*Open) message()         {}
func (*Difference) message()   {}
func (*Offer) message()        {}
func (*Refuse) message()       {}
func (*Hello) message()        {}
