/**
 * Messages over the page: one that goes by itself, and one that stays until it is closed.
 *
 * The open viewer has them in itself: a modal dialog makes all that is outside of it inert.
 */
import { Icon } from "../controls/Icon.tsx"
import { endToast, type Notice, toast, trouble } from "../state/notices.ts"

const Action = ({ notice: { action } }: { readonly notice: Notice }) =>
  action === undefined
    ? null
    : <button type="button" class="button quiet low" onClick={action.act}>{action.label}</button>

const Close = ({ onClick }: { readonly onClick: () => void }) => (
  <button type="button" class="button quiet low square" aria-label="Close this message" onClick={onClick}>
    <Icon name="close" />
  </button>
)

const closeTrouble = () => {
  trouble.value = undefined
}

export const Notices = () => (
  <div class="notices">
    <div role="alert">
      {trouble.value === undefined ? null : (
        <div class="toast wrong">
          <Icon name="alert" />
          <span>{trouble.value.text}</span>
          <Action notice={trouble.value} />
          <Close onClick={closeTrouble} />
        </div>
      )}
    </div>
    <div role="status">
      {toast.value === undefined ? null : (
        <div class="toast">
          <span>{toast.value.text}</span>
          <Action notice={toast.value} />
          {toast.value.action === undefined ? null : <Close onClick={endToast} />}
        </div>
      )}
    </div>
  </div>
)
