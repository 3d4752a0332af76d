package segment

import "github.com/busnode/busnode/p2p/multicast/datagram"

// Stats counts since the engine was made, but for the last group.
type Stats struct {
	// Sent datagrams by kind; Parity are those sent with a block, Repair those
	// sent because somebody asked.
	Data, Parity, Repair, Nacks, Digests, Beacons uint64
	Siblings                                      uint64 // beacons of this very peer from another interface
	Unsigned                                      uint64 // beacons that could not be signed
	SentBytes                                     uint64 // of datagrams, without IP and UDP headers
	FramesSent, FramesReceived                    uint64
	BlocksSent, BlocksReceived                    uint64
	BlocksDecoded                                 uint64 // of the received, those that parity completed
	BlocksGivenUp                                 uint64 // not repaired in time
	BlocksPoisoned                                uint64 // put together, and not what was sent
	FramesGivenUp                                 uint64 // begun, and their rest was given up
	Unrepairable                                  uint64 // asked for when they were no longer kept
	NacksReceived, NacksSuppressed                uint64
	Away                                          uint64 // times that so much was missed that no repair was asked
	Duplicates                                    uint64 // shards of blocks that were complete
	Opened                                        uint64 // datagrams that were authentic, new and from a member
	Refused                                       [datagram.Refusals]uint64

	// As of now.
	RateBits        int     // present rate
	WorstLoss       float64 // reported by the members that count, 0 to 1
	Streams         int     // remembered
	Members         int
	ReassemblyBytes int
	LiveBytes       int
	QueuedBytes     int
}
