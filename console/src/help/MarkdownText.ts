// A manual's page drawn: headings, paragraphs, lists, tables, pictures.
import { computed, defineComponent, h, type VNode } from "vue";
import { type Block, blocksOf, type Piece } from "./markdown";

const TAGS = { strong: "strong", code: "code", key: "kbd" } as const;

export default defineComponent({
  props: { text: { type: String, required: true }, picture: { type: Function, required: true } },
  emits: { follow: (_to: string) => true },
  setup(props, { emit }) {
    const blocks = computed(() => blocksOf(props.text));
    const inline = (pieces: Piece[]) => pieces.map((piece) => {
      if (piece.kind === "text") return piece.text;
      if (piece.kind !== "link") return h(TAGS[piece.kind], piece.text);
      const page = /^([a-z]+)\.md$/.exec(piece.to)?.[1];
      return page ? h("a", { href: `#${page}`, onClick: (event: Event) => (event.preventDefault(), emit("follow", page)) }, piece.text) : h("a", { href: piece.to, target: "_blank", rel: "noopener" }, piece.text);
    });
    function draw(block: Block): VNode {
      switch (block.kind) {
        case "heading": return h(`h${block.level + 1}`, inline(block.pieces));
        case "image": return h("img", { src: props.picture(block.source), alt: block.alt });
        case "list": return h(block.ordered ? "ol" : "ul", block.items.map((item) => h("li", inline(item))));
        case "table": return h("table", [h("thead", h("tr", block.head.map((cell) => h("th", { scope: "col" }, inline(cell))))), h("tbody", block.rows.map((row) => h("tr", row.map((cell) => h("td", inline(cell))))))]);
        default: return h("p", inline(block.pieces));
      }
    }
    return () => h("div", { class: "manual-text" }, blocks.value.map(draw));
  },
});
