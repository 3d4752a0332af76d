package datagram

import "encoding/binary"

// WantsMax is how many blocks one Nack asks for.
const WantsMax = 64

const (
	nackHeaderBytes = 18
	wantBytes       = 11
)

// Nack is what a member lacks of a stream.
//
//	 0         16     17      18
//	+---------+------+-------+--------------------------------------------------+
//	| stream  | loss | count | count × | flags 1 | block 8 | up to 1 | need 1 | |
//	+---------+------+-------+--------------------------------------------------+
type Nack struct {
	Of   StreamID
	Loss uint8 // share of the stream's datagrams that the member missed lately, in 255ths, or LossUnknown
	list []byte
}

// LossUnknown is the loss of those who have not heard enough to tell.
const LossUnknown = 255

// Want is how much is lacking of a block.
type Want struct {
	Lane      uint8
	Addressed bool // to the one that asks
	Block     uint64
	UpTo      uint8 // shards of the block that were sent, as far as it knows
	Need      uint8 // how many more after these; 0: it knows nothing of the block and needs all
}

// AppendNack appends an inner text. wants are at most WantsMax.
func AppendNack(dst []byte, of StreamID, loss uint8, wants []Want) []byte {
	dst = append(dst, of[:]...)
	dst = append(dst, loss, byte(len(wants)))
	for _, w := range wants {
		flags := w.Lane
		if w.Addressed {
			flags |= addressedFlag
		}
		dst = append(dst, flags)
		dst = binary.BigEndian.AppendUint64(dst, w.Block)
		dst = append(dst, w.UpTo, w.Need)
	}
	return dst
}

const addressedFlag = 0x80

// ParseNack reads an inner text, which the result aliases. The error is RefusedInner.
func ParseNack(b []byte) (Nack, error) {
	if len(b) < nackHeaderBytes {
		return Nack{}, RefusedInner
	}
	n := Nack{Of: StreamID(b), Loss: b[16], list: b[nackHeaderBytes:]}
	count := int(b[17])
	if count == 0 || count > WantsMax || len(n.list) != count*wantBytes {
		return Nack{}, RefusedInner
	}
	for i := range count {
		w := n.Want(i)
		if w.Lane >= Lanes || w.Block == 0 || w.Block > blockMax || w.Need > DataMax {
			return Nack{}, RefusedInner
		}
	}
	return n, nil
}

// Len returns the number of wants.
func (n *Nack) Len() int { return len(n.list) / wantBytes }

// Want returns one of them.
func (n *Nack) Want(i int) Want {
	b := n.list[i*wantBytes:]
	return Want{
		Lane: b[0] &^ addressedFlag, Addressed: b[0]&addressedFlag != 0,
		Block: binary.BigEndian.Uint64(b[1:]), UpTo: b[9], Need: b[10],
	}
}
