package wire

import "time"

// Limits of the format. What exceeds them is refused, never cut.
const (
	TopicMax         = 255       // bytes of a topic or filter
	NetworkMax       = 64        // bytes of a network's name
	EventMaxBytes    = 4 << 20   // payload, key and headers of one event, the default limit
	BatchTargetBytes = 256 << 10 // a batch is closed when its body reaches it; one larger event is a batch alone
	BodyMaxBytes     = 16 << 20  // body of a batch, packed or unpacked, whatever the event limit is set to
	HeaderMaxBytes   = 4 << 10   // signed header of a batch
	BatchMaxBytes    = BodyMaxBytes + HeaderMaxBytes + 256
	CountMax         = 1 << 20 // events in a batch
	EventHeadersMax  = 64      // headers of an event

	FrameMaxBytes        = BatchMaxBytes + 64 // a frame: one with the largest batch fits
	ControlFrameMaxBytes = 64 << 10           // a message other than a Push
	FiltersMax           = 1024               // filters of one peer
	EntriesMax           = 1024               // entries in one message's list; senders split
	NumbersMax           = 1 << 16            // authors that have numbers on one connection, each way
	PushNumbersMax       = 512                // runs that have numbers for their pushes on one connection, each way
	RangesMax            = 512                // ranges in one Open or Answer
	ShortIDsMax          = 3 << 10            // ShortIDs, or keyed short IDs, in one message
	SymbolsMax           = 4 << 10            // symbols in one Cells
	PartMaxBytes         = 32 << 10           // of a batch in one Part
	ResumesMax           = 16                 // in one Want or WantIDs
	RecordsMax           = 16                 // in one Shuffle
	RecordMaxBytes       = 2 << 10            // of a signed peer record
	PresenceMaxBytes     = 128                // a frame with a Presence alone
	PresenceTopicsMax    = 8                  // in one Presence
	PresencePeersMax     = 10                 // in one Presence

	FutureMax = 30 * time.Second // a batch dated further ahead is deferred; clocks further apart are refused
)
