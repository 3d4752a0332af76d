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

// Add adds what o counted. What is as of now stays.
func (s *Stats) Add(o *Stats) {
	s.Data += o.Data
	s.Parity += o.Parity
	s.Repair += o.Repair
	s.Nacks += o.Nacks
	s.Digests += o.Digests
	s.Beacons += o.Beacons
	s.Siblings += o.Siblings
	s.Unsigned += o.Unsigned
	s.SentBytes += o.SentBytes
	s.FramesSent += o.FramesSent
	s.FramesReceived += o.FramesReceived
	s.BlocksSent += o.BlocksSent
	s.BlocksReceived += o.BlocksReceived
	s.BlocksDecoded += o.BlocksDecoded
	s.BlocksGivenUp += o.BlocksGivenUp
	s.BlocksPoisoned += o.BlocksPoisoned
	s.FramesGivenUp += o.FramesGivenUp
	s.Unrepairable += o.Unrepairable
	s.NacksReceived += o.NacksReceived
	s.NacksSuppressed += o.NacksSuppressed
	s.Away += o.Away
	s.Duplicates += o.Duplicates
	s.Opened += o.Opened
	for r, n := range o.Refused {
		s.Refused[r] += n
	}
}
