//go:build !amd64

package ram

func load(dst, src []byte)  { copy(dst, src) }
func store(dst, src []byte) { copy(dst, src) }
