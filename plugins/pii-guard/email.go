package piiguard

// Bounds of an address: RFC 5321 4.5.3.1 gives 64 bytes to the local part; domains of more than 128 are not seen.
const (
	maxLocal    = 64
	maxLocalRaw = 96 // of the original text, on a stream
	maxDomain   = 128
)

// email looks for an address around the @ at index at and returns where it would start.
func (s *scanner) email(at int) (start int) {
	start = s.localStart(at)
	local := start
	for local < at && class[s.b[local]]&isWord == 0 {
		local++ // punctuation before the address
	}
	if local == at || s.b[at-1] == '.' {
		return start
	}
	end := at + 1
	for end-at <= maxDomain && s.is(end, isDomain) {
		end++
	}
	end = s.domainEnd(at+1, end)
	if end == 0 {
		return start
	}
	if s.b[local:at] == "git" && s.at(end) == ':' {
		return start // git@host:path is a repository
	}
	s.add(local, end, Email, "email.address", 0.98)
	return start
}

// localStart returns where a local part that ends before index at begins, punctuation included.
func (s *scanner) localStart(at int) int {
	i := at
	for i > 0 && class[s.b[i-1]]&isLocal != 0 && at-i < maxLocal {
		if s.stream && s.offset(at)-s.offset(i-1) > maxLocalRaw {
			break
		}
		i--
	}
	return i
}

// openLocal marks the word at the end as open: it may be the local part of an address.
func (s *scanner) openLocal() { s.open = min(s.open, s.localStart(len(s.b))) }

// domainEnd returns where the domain name in [i, j) ends, 0 if there is none: at least two labels that are not empty,
// the last a top-level name.
func (s *scanner) domainEnd(i, j int) int {
	end, labels := 0, 0
	for i < j {
		k := i
		for k < j && s.b[k] != '.' {
			k++
		}
		stop := k
		for stop > i && s.b[stop-1] == '-' {
			stop--
		}
		if stop == i || s.b[i] == '-' {
			break
		}
		labels++
		if t := s.topEnd(i, stop); labels > 1 && t > 0 {
			end = t
			if t != k {
				break
			}
		}
		if stop != k {
			break
		}
		i = k + 1
	}
	return end
}

// topEnd returns the end of a top-level name that starts at i and goes no further than j, 0 if there is none. Text
// without spaces between words may follow one in ASCII directly.
func (s *scanner) topEnd(i, j int) int {
	k := i
	for k < j && (class[s.b[k]]&isLetter != 0 || s.b[k] == letterMark) {
		k++
	}
	switch {
	case k-i >= 2 && (k == j || s.b[k] == cjkMark):
		if isFileSuffix(s.b[i:k]) {
			return 0
		}
		return k
	case k == i && s.b[k] == cjkMark && j-i <= 4: // a name such as that of China
		for k < j && s.b[k] == cjkMark {
			k++
		}
		if k == j && k-i >= 2 {
			return k
		}
	case k-i == 2 && j-i > 4 && s.b[k] == '-' && s.b[k+1] == '-' && (s.b[i:k] == "xn" || s.b[i:k] == "XN"):
		return j
	}
	return 0
}

// isFileSuffix says whether what looks like a top-level name is a file's: logo@2x.png is no address.
func isFileSuffix(s string) bool {
	switch s {
	case "png", "jpg", "jpeg", "gif", "svg", "webp", "css", "js", "ts", "json", "PNG", "JPG":
		return true
	}
	return false
}
