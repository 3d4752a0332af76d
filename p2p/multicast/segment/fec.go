package segment

import (
	"github.com/klauspost/reedsolomon"

	"github.com/busnode/busnode/p2p/multicast/datagram"
)

// The code is systematic: data shards go out as they are, and parity row j is
// the sum of all data shards i times cauchy[j][i] in GF(2^8). Every square part of a
// Cauchy matrix has an inverse, so any k shards give back k data shards,
// whichever rows come, and each row can be made alone when it is asked for.
const (
	parityMax  = 256 - datagram.DataMax - 1
	blockBytes = datagram.DataMax * datagram.ShardMaxBytes // the largest block
)

var (
	field   reedsolomon.LowLevel
	product = makeProduct()
	cauchy  = makeCauchy()
)

// makeProduct returns the multiplication table of the field.
func makeProduct() (t [256][256]byte) {
	var all [256]byte
	for i := range all {
		all[i] = byte(i)
	}
	for c := range t {
		field.GalMulSlice(byte(c), all[:], t[c][:])
	}
	return t
}

func makeCauchy() (m [parityMax][datagram.DataMax]byte) {
	for j := range m {
		for i := range m[j] {
			m[j][i] = reedsolomon.Inv(byte(255-j) ^ byte(i))
		}
	}
	return m
}

// encode fills out with parity row j of a block of k shards that lie back to back.
func encode(out, block []byte, k, j int) {
	size := len(out)
	field.GalMulSlice(cauchy[j][0], block[:size], out)
	for i := 1; i < k; i++ {
		field.GalMulSliceXor(cauchy[j][i], block[i*size:(i+1)*size], out)
	}
}

// parityRow is a parity shard that arrived.
type parityRow struct {
	row    int
	bytes  []byte
	buffer []byte // that the bytes are in
}

// decoder holds what decoding needs beside the block, to allocate nothing.
type decoder struct {
	missing []int
	matrix  [datagram.DataMax][2 * datagram.DataMax]byte
}

// decode restores the data shards of a block that have no bit in have, from as
// many parity rows, whose bytes it overwrites.
func (d *decoder) decode(block []byte, k, size int, have *[4]uint64, rows []parityRow) {
	d.missing = d.missing[:0]
	for i := range k {
		if have[0]&(1<<i) == 0 {
			d.missing = append(d.missing, i)
		}
	}
	n := len(d.missing)
	rows = rows[:n]
	for i := range k {
		if have[0]&(1<<i) == 0 {
			continue
		}
		shard := block[i*size : (i+1)*size]
		for _, r := range rows {
			field.GalMulSliceXor(cauchy[r.row][i], shard, r.bytes)
		}
	}
	d.invert(rows)
	for a, i := range d.missing {
		shard := block[i*size : (i+1)*size]
		field.GalMulSlice(d.matrix[a][n], rows[0].bytes, shard)
		for c := 1; c < n; c++ {
			field.GalMulSliceXor(d.matrix[a][n+c], rows[c].bytes, shard)
		}
	}
}

// invert leaves in the right half of the matrix the inverse of the rows' part
// in the missing columns, by Gauss and Jordan. Every such part has one.
func (d *decoder) invert(rows []parityRow) {
	n := len(rows)
	for r := range n {
		m := &d.matrix[r]
		clear(m[:2*n])
		for c, i := range d.missing {
			m[c] = cauchy[rows[r].row][i]
		}
		m[n+r] = 1
	}
	for c := range n {
		p := c
		for d.matrix[p][c] == 0 {
			p++
		}
		d.matrix[p], d.matrix[c] = d.matrix[c], d.matrix[p]
		pivot := &d.matrix[c]
		by := &product[reedsolomon.Inv(pivot[c])]
		for x := range 2 * n {
			pivot[x] = by[pivot[x]]
		}
		for r := range n {
			m := &d.matrix[r]
			if f := m[c]; r != c && f != 0 {
				by := &product[f]
				for x := range 2 * n {
					m[x] ^= by[pivot[x]]
				}
			}
		}
	}
}
