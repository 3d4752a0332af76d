package datagram

import "encoding/binary"

// Limits of blocks and of lists inside of datagrams.
const (
	DataMax   = 32   // data shards of a block
	ShardsMax = 255  // all shards of a block
	BackMax   = 4095 // blocks of a flow that can be asked for
	Lanes     = 2    // numbers of lanes

	ShardHeaderBytes = 24
	// ShardMaxBytes is the length of a block's full shards: what there is room for, in
	// whole words of the code's arithmetic, whose last bytes otherwise take half of its time.
	ShardMaxBytes = (InnerMaxBytes - ShardHeaderBytes) &^ 31
)

// Shard is a piece of a block. Data shards 0…Data-1 back to back are the block;
// the others are parity. Blocks are numbered from 1 in each flow: the lane and
// the addressee.
//
//	 0          8           16       18       20      21     22      23     24
//	+----------+-----------+--------+--------+-------+------+-------+------+-----------+
//	| to       | block     | back   | ends   | index | data | up to | lane | bytes …   |
//	+----------+-----------+--------+--------+-------+------+-------+------+-----------+
type Shard struct {
	To    Tag    // the addressee; zero: all
	Block uint64 // its number, from 1
	Back  uint16 // so many blocks before it can still be asked for
	Ends  uint16 // when the last of the shards that are being sent follows, in units of EndsUnit
	Index uint8
	Data  uint8 // data shards of the block, 1 to DataMax
	UpTo  uint8 // shards of the block sent when those being sent are
	Lane  uint8
	Bytes []byte // of equal length in all shards of a block
}

// EndsUnit is the unit of [Shard.Ends] in nanoseconds.
const EndsUnit = 64_000

// AppendHeader appends all but the bytes.
func (s *Shard) AppendHeader(dst []byte) []byte {
	dst = append(dst, s.To[:]...)
	dst = binary.BigEndian.AppendUint64(dst, s.Block)
	dst = binary.BigEndian.AppendUint16(dst, s.Back)
	dst = binary.BigEndian.AppendUint16(dst, s.Ends)
	return append(dst, s.Index, s.Data, s.UpTo, s.Lane)
}

// ParseShard reads an inner text; Bytes aliases it. The error is RefusedInner.
func ParseShard(b []byte) (Shard, error) {
	if len(b) <= ShardHeaderBytes || len(b) > ShardHeaderBytes+ShardMaxBytes {
		return Shard{}, RefusedInner
	}
	s := Shard{
		To:    Tag(b),
		Block: binary.BigEndian.Uint64(b[8:]),
		Back:  binary.BigEndian.Uint16(b[16:]),
		Ends:  binary.BigEndian.Uint16(b[18:]),
		Index: b[20], Data: b[21], UpTo: b[22], Lane: b[23],
		Bytes: b[ShardHeaderBytes:],
	}
	switch {
	case s.Data == 0 || s.Data > DataMax, s.UpTo < s.Data, s.Index >= s.UpTo, s.Lane >= Lanes:
		return Shard{}, RefusedInner
	case s.Block == 0 || s.Block > blockMax, s.Back > BackMax, uint64(s.Back) >= s.Block:
		return Shard{}, RefusedInner
	}
	return s, nil
}

// blockMax keeps sums of block numbers from wrapping.
const blockMax = 1 << 62
