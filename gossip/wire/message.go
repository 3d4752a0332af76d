package wire

// Message is what peers' cores say to each other: one of the pointer types of
// this file. A frame is one or more messages.
type Message interface{ message() }

// Push carries a batch: on the news lane eagerly, or in answer to a [Want].
type Push struct {
	Batch  *Batch
	Repair bool // in answer to a Want: says nothing about the tree
	// Number, if it is not zero, stands in [ShortPush]es for the batch's run, until the
	// sender gives it to another. PushNumbersMax at most; 0 in a push that is repair.
	Number uint32
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
	// Number, if it is not zero, stands in [Advance]s for this topic, author, base and
	// epoch, until the sender gives it to another.
	Number uint32
}

// Have tells heads: lazy word of what is new, and acknowledgement in one.
type Have struct {
	Topic string
	Heads []Head
}

// Advance is a [Have] in short: the heads of authors that have numbers are now
// at other sequences of the same epoch.
type Advance struct {
	Heads []AdvancedHead // at most EntriesMax
}

// AdvancedHead is a head that was told in full before.
type AdvancedHead struct {
	Number uint32 // of a Head of an earlier Have of the same connection
	Seq    uint64
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

// Resume tells that the sender has the first Offset bytes of a batch already,
// from a transfer that was cut off.
type Resume struct {
	ID     ShortID
	Offset uint32 // bytes of the batch as it is stored
}

// Want asks for batches of one author by place: those that end after After
// and start at or before Upto, oldest first, up to about MaxBytes.
// The answer is Pushes with Repair set, or [Part]s, then [Served].
type Want struct {
	ID          uint32 // the sender's number for the request
	Topic       string
	Author      Author
	After, Upto Mark
	MaxBytes    uint32
	Resume      []Resume
}

// WantIDs asks for batches by name, in the order given, up to about MaxBytes.
// The answer is as for [Want].
type WantIDs struct {
	ID       uint32
	Topic    string
	IDs      []ShortID
	MaxBytes uint32
	Resume   []Resume
}

// Part carries a stretch of a batch that is too large for one frame of a slow
// or limited link. Parts of a batch come in order on the repair lane, from the
// offset that the Want's [Resume] named or from 0, until Size is reached.
type Part struct {
	Batch  BatchID
	Size   uint32 // of the whole batch as it is stored
	Offset uint32 // of Data in it
	Data   []byte // at least one byte; aliases the frame
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
	Digest uint32 // keyed, see package reconcile; 0 if Count is 0
}

// Open starts an exchange on one topic.
type Open struct {
	Session    uint32 // the sender's number for the exchange
	Topic      string
	Nonce      uint64 // the sender's share of the session's key
	Floor, Cut Time
	Expect     uint32        // how many differences the sender expects; 0: it cannot tell
	Plain      bool          // symbols failed twice: tell short IDs of all stale ranges
	Ranges     []RangeDigest // ascending by Low; the first Low is Floor
}

// Answer is the first answer to an [Open]: what is to be done about each of
// its ranges. A range that none of the fields names is equal, or left out for
// lack of budget. The bitmaps have bit i%8 of byte i/8 for range i.
type Answer struct {
	Session uint32     // as in the Open
	Nonce   uint64     // the answerer's share of the session's key
	Coded   []byte     // [Cells] over the union of these follow
	Empty   []byte     // the answerer holds nothing there: all is surplus
	Offered []byte     // the asker holds nothing there: an [Offer] of all follows
	Plain   []RangeIDs // short IDs of all that the answerer holds in a range
	// Finer replaces the symbols where they would cost much hashing: the coded ranges
	// divided again, each from a Low that one of them begins at, or inside of one. The
	// asker names the stale ones in [More].
	Finer []RangeDigest
	More  bool // stale ranges were left out: the newest came first, open again for the rest
}

// RangeIDs is what a node holds in one range of an [Open].
type RangeIDs struct {
	Index uint32   // of the range in the Open
	IDs   []uint64 // keyed short IDs: 48 bits
}

// Symbol is a coded symbol: see package reconcile.
type Symbol struct {
	Sum   uint64 // 48 bits
	Check uint32 // 24 bits
	Count int32
}

// Cells are coded symbols of the answerer's side of an exchange.
type Cells struct {
	Session uint32
	Items   uint32 // how many items the symbols are made of; the same throughout an exchange
	Start   uint32 // index of the first symbol
	Symbols []Symbol
}

// More asks for the symbols up to, but excluding, Upto.
type More struct {
	Session uint32
	Upto    uint32
	Stale   []byte // after Finer: bitmap of those of its ranges that differ
}

// Resolve asks for the names of batches that the sender lacks. The answer is an [Offer].
type Resolve struct {
	Session uint32
	Short   []uint64 // keyed short IDs, 48 bits
	Done    bool     // the exchange is over: no more of it will be asked
}

// Offer names batches that its sender holds and its receiver lacks, in order of
// (time, ID).
type Offer struct {
	Topic string
	IDs   []ShortID
}

// AuthorMark is a place in what an author published on the topic of the message.
type AuthorMark struct {
	Author Author
	Mark   Mark
}

// Trimmed tells up to where the sender's retention has removed authors' events
// that are not too old by their date. They are left out when the two compare.
type Trimmed struct {
	Topic string
	Marks []AuthorMark
}

// CounterRemoved is the counter of a rumor whose sender has lost interest in it.
const CounterRemoved = 255

// Rumor names a batch that its sender is spreading by rumor mongering.
type Rumor struct {
	ID      ShortID
	Counter uint8 // useless contacts that count, for minimization; else 0
}

// Contact begins what one node says to another on a topic in a cycle of rumor
// mongering. Of nodes that push without being asked first, the batches
// themselves say so.
type Contact struct {
	Topic  string
	Pull   bool    // the answer shall name rumors
	Rumors []Rumor // the sender's, oldest first, at most EntriesMax
}

// Rumors answers a [Contact].
type Rumors struct {
	Topic  string
	Busy   bool    // the contact is refused: its sender has accepted as many as it does in a cycle
	Rumors []Rumor // the sender's, but for those that the Contact named
}

// RumorFeedback tells whether a contact was of use.
type RumorFeedback struct {
	ID      ShortID
	Known   bool  // its sender held the batch when its present cycle began
	Need    bool  // the batch is to be pushed
	Counter uint8 // the sender's for the rumor; CounterRemoved if it knows it and spreads it no more
}

// Feedback answers rumors that were pushed or named.
type Feedback struct {
	Topic  string
	Rumors []RumorFeedback // at most EntriesMax
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

// Record is word of where a peer can be found.
type Record struct {
	Peer PeerID
	// Signed is a signed peer record of libp2p's, 1 to RecordMaxBytes long. Here it
	// is opaque: that it is the peer's own is for the receiver to check.
	Signed []byte
	// Seq tells the newer of two records of one peer. It is not on the wire:
	// whoever checks the record reads it there.
	Seq uint64
}

// Shuffle tells records of peers that are interested in the topic, so that
// overlays mix and heal. It goes to peers alone that share the topic.
type Shuffle struct {
	// Topic may be empty if Full is set: sender and receiver share none.
	Topic string
	// Reply: in answer to one without it, which asks for as much in return.
	Reply bool
	// Full: the sender has too many connections and is about to close this one; the
	// records are of others to connect to instead. There is no answer.
	Full    bool
	Records []Record // RecordsMax at most
}

// TopicTag is a topic of the sender's, and what it holds of it.
type TopicTag struct {
	Tag    uint32 // TagOf its name
	Digest uint32 // of its batches up to Cut; 0: it holds none
}

// Presence is what a node says of itself in few bytes to all who hear it on a
// segment, whether or not a stream reaches them: it is the text of a beacon. It fits
// into PresenceMaxBytes.
type Presence struct {
	// Any: the sender may want topics beside those that Topics names.
	Any     bool
	Cut     Time       // what the digests reach up to, exclusively
	Filters uint32     // sum of TagOf over all filters, modulo 2^32
	Topics  []TopicTag // it holds everybody's events of; PresenceTopicsMax at most
	Peers   []uint32   // PeerID.Tag of some that a stream connects it to; PresencePeersMax at most
}

func (*Push) message()         {}
func (*ShortPush) message()    {}
func (*Interest) message()     {}
func (*Topics) message()       {}
func (*Link) message()         {}
func (*Have) message()         {}
func (*Advance) message()      {}
func (*Graft) message()        {}
func (*Prune) message()        {}
func (*Want) message()         {}
func (*WantIDs) message()      {}
func (*Served) message()       {}
func (*Heartbeat) message()    {}
func (*TopicDigests) message() {}
func (*Open) message()         {}
func (*Answer) message()       {}
func (*Cells) message()        {}
func (*More) message()         {}
func (*Resolve) message()      {}
func (*Part) message()         {}
func (*Trimmed) message()      {}
func (*Offer) message()        {}
func (*Refuse) message()       {}
func (*Hello) message()        {}
func (*Contact) message()      {}
func (*Rumors) message()       {}
func (*Feedback) message()     {}
func (*Shuffle) message()      {}
func (*Presence) message()     {}
