package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/busnode/busnode/gossip/wire"
)

// The tree that Cassandra's repair compares by default: depth 15 over the space of
// hashes, here that of the IDs. A leaf's hash is over its IDs; an inner node's
// is the exclusive or of its children's, as Cassandra's is. Only the leaves travel:
// the receiver works out the rest.
const (
	merkleDepth  = 15
	merkleLeaves = 1 << merkleDepth
)

type merkleHash [sha256.Size]byte

const hashesPerFrame = (rivalFrameMax - rivalFrameHead) / sha256.Size

// merkleTree is a binary tree in an array: node i has the children 2i and
// 2i+1, the root is 1, the leaves are merkleLeaves and up.
type merkleTree struct {
	nodes []merkleHash
	ids   idList // ascending
	start []int  // of each leaf in ids, and the end of the last
}

// leafOf returns the number of the leaf that an ID belongs to: its first 15 bits.
func leafOf(id *wire.BatchID) int { return int(binary.BigEndian.Uint16(id[:2])) >> (16 - merkleDepth) }

// newMerkleTree makes the tree of IDs, which ascend.
func newMerkleTree(ids idList) *merkleTree {
	t := &merkleTree{nodes: make([]merkleHash, 2*merkleLeaves), ids: ids, start: make([]int, merkleLeaves+1)}
	at := 0
	h := sha256.New()
	for leaf := range merkleLeaves {
		t.start[leaf] = at
		for at < len(ids) && leafOf(&ids[at]) == leaf {
			h.Write(ids[at][:])
			at++
		}
		h.Sum(t.nodes[merkleLeaves+leaf][:0])
		h.Reset()
	}
	t.start[merkleLeaves] = at
	t.sumUp()
	return t
}

// sumUp works out the inner nodes from the leaves.
func (t *merkleTree) sumUp() {
	for i := merkleLeaves - 1; i > 0; i-- {
		left, right := &t.nodes[2*i], &t.nodes[2*i+1]
		for j := range left {
			t.nodes[i][j] = left[j] ^ right[j]
		}
	}
}

// leaf returns the IDs of a leaf.
func (t *merkleTree) leaf(leaf int) idList { return t.ids[t.start[leaf]:t.start[leaf+1]] }

// differing appends the leaves below node in which the trees differ, ascending.
func (t *merkleTree) differing(o *merkleTree, node int, leaves []int) []int {
	switch {
	case t.nodes[node] == o.nodes[node]:
		return leaves
	case node >= merkleLeaves:
		return append(leaves, node-merkleLeaves)
	}
	return t.differing(o, 2*node+1, t.differing(o, 2*node, leaves))
}

// merkleTrees finds the difference by comparing trees: A asks for B's, and then for
// the IDs of the leaves that differ. build is what making one tree took. Cassandra
// makes them anew for each repair; a system that keeps them need not.
func merkleTrees(a, b idList) (cost measure, lack, surplus idList, build time.Duration, err error) {
	r := &rivalRun{}
	var building side
	var treeA, treeB *merkleTree
	building.do(func() { treeA = newMerkleTree(a) })
	treeB = newMerkleTree(b)
	theirs := &merkleTree{nodes: make([]merkleHash, 2*merkleLeaves)}
	if err = r.carryTree(treeB, theirs); err != nil {
		return cost, nil, nil, 0, err
	}
	var leaves []int
	r.a.do(func() {
		theirs.sumUp()
		leaves = treeA.differing(theirs, 1, nil)
	})
	if len(leaves) > 0 {
		lack, surplus, err = r.compareLeaves(treeA, treeB, leaves)
	}
	return r.measure(), lack, surplus, building.spent, err
}

// carryTree has A ask for B's leaves, which become those of to.
func (r *rivalRun) carryTree(from, to *merkleTree) error {
	r.roundTrips++
	if err := r.carry(&r.a, &r.b, rivalTree, nil, nil); err != nil {
		return err
	}
	for at := merkleLeaves; at < 2*merkleLeaves; at += hashesPerFrame {
		end := min(at+hashesPerFrame, 2*merkleLeaves)
		fill := func(b []byte) []byte {
			for i := range from.nodes[at:end] {
				b = append(b, from.nodes[at+i][:]...)
			}
			return b
		}
		read := func(body []byte) error {
			if len(body) != (end-at)*sha256.Size {
				return fmt.Errorf("%w: half a hash", errRivalFrame)
			}
			for i := range to.nodes[at:end] {
				copy(to.nodes[at+i][:], body[i*sha256.Size:])
			}
			return nil
		}
		if err := r.carry(&r.b, &r.a, rivalTree, fill, read); err != nil {
			return err
		}
	}
	return nil
}

const leafBytes = 2 // of a leaf's number; so all of them fit two frames

// compareLeaves has A ask for the IDs of leaves, which ascend, and compare them with its own.
func (r *rivalRun) compareLeaves(a, b *merkleTree, leaves []int) (lack, surplus idList, err error) {
	r.roundTrips++
	var asked idList // what B is to send
	for rest := leaves; len(rest) > 0; {
		part := rest[:min(len(rest), (rivalFrameMax-rivalFrameHead)/leafBytes)]
		rest = rest[len(part):]
		fill := func(buf []byte) []byte {
			for _, leaf := range part {
				buf = binary.BigEndian.AppendUint16(buf, uint16(leaf))
			}
			return buf
		}
		read := func(body []byte) error {
			for ; len(body) >= leafBytes; body = body[leafBytes:] {
				leaf := int(binary.BigEndian.Uint16(body))
				if leaf >= merkleLeaves {
					return fmt.Errorf("%w: leaf %d", errRivalFrame, leaf)
				}
				asked = append(asked, b.leaf(leaf)...)
			}
			return nil
		}
		if err := r.carry(&r.a, &r.b, rivalLeaves, fill, read); err != nil {
			return nil, nil, err
		}
	}
	var m merger
	r.a.do(func() {
		for _, leaf := range leaves {
			m.own = append(m.own, a.leaf(leaf)...)
		}
	})
	if err := r.carryIDs(&r.b, &r.a, rivalList, asked, m.take); err != nil {
		return nil, nil, err
	}
	r.a.do(m.end)
	return m.otherOnly, m.ownOnly, nil
}
