package reconcile

import "math"

// The mapping says which symbols an item takes part in: symbol 0, and symbol i
// with probability 1/(1+i/2), as in Rateless IBLT (Yang, Gilad, Alizadeh, SIGCOMM
// 2024). There, the next one after symbol i is i + ⌈(i+1.5)(1/√u − 1)⌉ with u
// uniform in (0,1).
//
// Departs from it in that √u is drawn as the greater of two uniform numbers, which
// has the same distribution. What is left is a division of integers: all machines
// get the same, and twice to three times as fast as with a square root.

const (
	mappingMultiplier = 0xda942042e4dd58b5 // Steele and Vigna, 2021
	never             = math.MaxUint32     // no symbol has this index
)

// next returns the next state of the mapping, and the index of the symbol after
// at that the item takes part in. The state is odd, and at
// at most 2^30.
func next(state uint64, at uint32) (uint64, uint32) {
	state *= mappingMultiplier
	high := uint32(state >> 32)
	// The low half of the state is less random than the high half alone.
	root := uint64(max(high, high^uint32(state))) + 1
	// With √u = root/2^32: ⌈(at+1.5)/√u − 1.5⌉, which is at least at+1.
	to := ((2*uint64(at)+3)<<32/root - 1) / 2
	return state, uint32(min(to, never))
}
