package wire

// appendContent appends the fields of a message other than a Push, in
// ascending order of their numbers. busnode.proto names them.
func appendContent(dst []byte, m Message) []byte {
	switch m := m.(type) {
	case *Interest:
		for _, filter := range m.Add {
			dst = appendElement(dst, 1, filter)
		}
		for _, filter := range m.Remove {
			dst = appendElement(dst, 2, filter)
		}
	case *Topics:
		dst = appendTopics(dst, m)
	case *Link:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBool(dst, 2, m.Up)
	case *Have:
		dst = appendHave(dst, m)
	case *Graft:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
	case *Prune:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
	case *Want:
		dst = appendWant(dst, m)
	case *WantIDs:
		dst = appendUint(dst, 1, uint64(m.ID))
		dst = appendString(dst, 2, m.Topic)
		dst = appendIDs(dst, 3, m.Short)
		dst = appendUint(dst, 4, uint64(m.MaxBytes))
	case *Served:
		dst = appendUint(dst, 1, uint64(m.ID))
		dst = appendBool(dst, 2, m.More)
	case *Heartbeat:
		dst = appendTime(dst, 1, m.Wall)
		dst = appendTime(dst, 2, m.Floor)
		dst = appendTime(dst, 3, m.Cut)
		dst = appendFixed(dst, 4, m.Digest)
	case *TopicDigests:
		dst = appendTopicDigests(dst, m)
	case *Open:
		dst = appendOpen(dst, m)
	case *Difference:
		dst = appendDifference(dst, m)
	case *Offer:
		dst = appendString(dst, 1, m.Topic)
		dst = appendIDs(dst, 2, m.Short)
	case *Hello:
		dst = appendFixed(dst, 1, m.Mine)
		dst = appendFixed(dst, 2, m.Yours)
	case *Refuse:
		dst = appendString(dst, 1, m.Topic)
		dst = appendBytes(dst, 2, m.Author[:])
		dst = appendMark(dst, 3, m.Mark)
		dst = appendUint(dst, 5, uint64(m.Reason))
	}
	return dst
}

// appendMark appends a mark as two fields, num and num+1.
func appendMark(dst []byte, num int, m Mark) []byte {
	dst = appendUint(dst, num, uint64(m.Epoch))
	return appendUint(dst, num+1, m.Seq)
}

func appendTopics(dst []byte, m *Topics) []byte {
	for i := range m.Add {
		dst = beginNested(dst, 1)
		start := len(dst)
		dst = appendString(dst, 1, m.Add[i].Name)
		dst = appendUint(dst, 2, uint64(m.Add[i].Scope))
		dst = endNested(dst, start)
	}
	for _, name := range m.Remove {
		dst = appendElement(dst, 2, name)
	}
	return dst
}

func appendHave(dst []byte, m *Have) []byte {
	dst = appendString(dst, 1, m.Topic)
	for i := range m.Heads {
		h := &m.Heads[i]
		dst = beginNested(dst, 2)
		start := len(dst)
		dst = appendBytes(dst, 1, h.Author[:])
		dst = appendMark(dst, 2, h.Base)
		dst = appendMark(dst, 4, h.Head)
		dst = endNested(dst, start)
	}
	return dst
}

func appendWant(dst []byte, m *Want) []byte {
	dst = appendUint(dst, 1, uint64(m.ID))
	dst = appendString(dst, 2, m.Topic)
	dst = appendBytes(dst, 3, m.Author[:])
	dst = appendMark(dst, 4, m.After)
	dst = appendMark(dst, 6, m.Upto)
	return appendUint(dst, 8, uint64(m.MaxBytes))
}

func appendTopicDigests(dst []byte, m *TopicDigests) []byte {
	dst = appendTime(dst, 1, m.Floor)
	dst = appendTime(dst, 2, m.Cut)
	for i := range m.Nodes {
		n := &m.Nodes[i]
		dst = beginNested(dst, 3)
		start := len(dst)
		dst = appendFixed(dst, 1, n.Prefix)
		dst = appendUint(dst, 2, uint64(n.Depth))
		dst = appendFixed(dst, 3, n.Digest)
		dst = appendUint(dst, 4, uint64(n.Topics))
		dst = endNested(dst, start)
	}
	return dst
}

func appendOpen(dst []byte, m *Open) []byte {
	dst = appendUint(dst, 1, uint64(m.Session))
	dst = appendString(dst, 2, m.Topic)
	dst = appendFixed(dst, 3, m.Nonce)
	dst = appendTime(dst, 4, m.Floor)
	dst = appendTime(dst, 5, m.Cut)
	for i := range m.Ranges {
		r := &m.Ranges[i]
		dst = beginNested(dst, 6)
		start := len(dst)
		dst = appendTime(dst, 1, r.Low)
		dst = appendUint(dst, 2, uint64(r.Count))
		dst = appendFixed(dst, 3, r.Digest)
		dst = endNested(dst, start)
	}
	return dst
}

func appendDifference(dst []byte, m *Difference) []byte {
	dst = appendUint(dst, 1, uint64(m.Session))
	dst = appendString(dst, 2, m.Topic)
	dst = appendFixed(dst, 3, m.Nonce)
	for i := range m.Ranges {
		dst = beginNested(dst, 4)
		start := len(dst)
		dst = appendUint(dst, 1, uint64(m.Ranges[i].Index))
		dst = appendIDs(dst, 2, m.Ranges[i].IDs)
		dst = endNested(dst, start)
	}
	return appendBool(dst, 5, m.More)
}
