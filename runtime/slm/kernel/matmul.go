package kernel

import "fmt"

// Workspace holds buffers between products. The zero value is ready; it is not safe for concurrent use.
type Workspace struct {
	rows  []activation
	batch batch
}

// Product is one matrix and where its product goes.
type Product struct {
	W   *Matrix
	Dst []float32 // n * W.Rows
}

// chunkBytes is the least amount of weights that is worth a chunk.
const chunkBytes = 32 << 10

// MatMul multiplies n rows of x, each w.Cols long, with the matrix: dst[i*w.Rows+r] = sum of w[r][c] * x[i][c]. Every
// product is computed by one worker in an order of its own, so that the result does not depend on the workers or on n.
func MatMul(p *Pool, ws *Workspace, w *Matrix, dst, x []float32, n int) {
	MatMulMany(p, ws, []Product{{w, dst}}, x, n)
}

// MatMulMany multiplies the same rows with several matrices of equal Cols in one region.
func MatMulMany(p *Pool, ws *Workspace, products []Product, x []float32, n int) {
	cols := products[0].W.Cols
	if len(x) < n*cols {
		panic(fmt.Sprintf("kernel: %d rows of %d in %d values", n, cols, len(x)))
	}
	for _, form := range forms(products) {
		ws.prepare(p, form, products, x, cols, n)
		ws.multiply(p, form, products, n)
	}
}

// forms lists the activations' forms that the products need.
func forms(products []Product) []partner {
	var out []partner
	for _, pr := range products {
		f, seen := pr.W.Type.partner(), false
		for _, o := range out {
			seen = seen || o == f
		}
		if !seen {
			out = append(out, f)
		}
	}
	return out
}

// prepare brings the rows of x into the form.
func (ws *Workspace) prepare(p *Pool, form partner, products []Product, x []float32, cols, n int) {
	for len(ws.rows) < n {
		ws.rows = append(ws.rows, activation{})
	}
	if form == asF32 || n == 1 {
		for i := range n {
			ws.rows[i].set(form, x[i*cols:(i+1)*cols])
		}
		return
	}
	together := false
	for i := range products {
		w := products[i].W
		together = together || active.tiles != nil && w.InPanels() && w.Type.partner() == form
	}
	if together {
		ws.batch.size(form, n, cols)
	}
	p.Run(n, func(i int) {
		ws.rows[i].set(form, x[i*cols:(i+1)*cols])
		if together {
			ws.batch.set(form, &ws.rows[i], i, n)
		}
	})
}

func (ws *Workspace) multiply(p *Pool, form partner, products []Product, n int) {
	type part struct {
		product  *Product
		from, to int
	}
	var parts []part
	for i := range products {
		pr := &products[i]
		w := pr.W
		if w.Type.partner() != form {
			continue
		}
		if len(pr.Dst) < n*w.Rows || len(w.Data) < w.Rows*w.Type.RowBytes(w.Cols) {
			panic(fmt.Sprintf("kernel: %d x %d %s does not fit its buffers", w.Rows, w.Cols, w.Type))
		}
		rows := max(min(chunkBytes/max(w.Type.RowBytes(w.Cols)*n, 1), (w.Rows+p.Threads()*4-1)/(p.Threads()*4)), 1)
		if w.InPanels() {
			rows = (rows + panelRows - 1) / panelRows * panelRows
		}
		for r := 0; r < w.Rows; r += rows {
			parts = append(parts, part{pr, r, min(r+rows, w.Rows)})
		}
	}
	p.Run(len(parts), func(i int) {
		pt := parts[i]
		w := pt.product.W
		if w.InPanels() {
			ws.multiplyPanels(pt.product, pt.from/panelRows, (pt.to+panelRows-1)/panelRows, n)
			return
		}
		size := w.Type.RowBytes(w.Cols)
		for r := pt.from; r < pt.to; r++ {
			row := w.Data[r*size : (r+1)*size]
			for k := range n {
				pt.product.Dst[k*w.Rows+r] = active.dot(w.Type, row, &ws.rows[k])
			}
		}
	})
}
