import { type ReactNode, useState } from "react";
import { useEngine } from "../../engine/engine.ts";
import { useText } from "../../i18n/text.ts";
import { Disclosure } from "../../ui/disclosure.tsx";
import { Field, Select, TextArea, TextInput } from "../../ui/field.tsx";
import { Segmented } from "../../ui/segmented.tsx";
import { SettingRow, Switch } from "../../ui/switch.tsx";
import {
  type FieldName,
  possibleVia,
  type SecretInput,
  type SecretName,
  type UpstreamForm,
  upstreamTypes,
  type ValueName,
} from "./form.ts";
import { KeepChoice, type KeepingState, SecretField } from "./secret-field.tsx";
import styles from "./editor.module.css";

export interface EditorFieldsProps {
  readonly form: UpstreamForm;
  readonly before: UpstreamForm | undefined;
  readonly errorOf: (field: FieldName) => string | undefined;
  readonly keeping: KeepingState;
  readonly onChange: (form: UpstreamForm, field: FieldName) => void;
  /** The focus has gone on: from here on the field is judged. */
  readonly onLeave: (field: FieldName) => void;
}

/** Those under "More", by type. */
const furtherFields = {
  ssh: [
    "passphrase",
    "agent",
    "known_hosts_file",
    "host_key_check",
    "ssh_config",
    "ssh_config_file",
    "keepalive_interval",
    "keepalive_count_max",
    "pool_size",
    "strategy",
  ],
  socks5: ["udp", "pool_size", "strategy"],
  http: ["tls_ca_file", "tls_server_name", "pool_size", "strategy"],
} as const satisfies Record<UpstreamForm["type"], readonly (ValueName | SecretName)[]>;

/** Every key of the configuration that an upstream of the type has: the usual ones in sight, the others behind "More". */
export function EditorFields(props: EditorFieldsProps) {
  const { form, before, errorOf, onChange, onLeave, keeping } = props;
  const words = useText().upstreams.editor;
  const upstreams = useEngine((state) => state.upstreams);
  const further = furtherFields[form.type];
  const set = further.filter((field) => isSet(form, field));
  const [open, setOpen] = useState(false);
  const wrong = further.some((field) => errorOf(field) !== undefined);
  const own = before?.name ?? form.name.trim();
  const via = possibleVia(own, upstreams);
  const chosenVia = form.values.via ?? "";
  const text = (name: ValueName, hint?: ReactNode, placeholder?: string) => (
    <ValueField {...props} name={name} hint={hint} placeholder={placeholder} />
  );
  const secret = (kind: SecretName, hint?: string) => (
    <SecretField
      label={words.fields[kind]}
      hint={hint}
      secret={form.secrets[kind]}
      before={before?.secrets[kind]}
      error={errorOf(kind)}
      keeping={keeping}
      mayAsk={form.type === "ssh"}
      onChange={(next: SecretInput) =>
        onChange({ ...form, secrets: { ...form.secrets, [kind]: next } }, kind)
      }
    />
  );

  return (
    <>
      <div className={styles["type"]}>
        <Segmented
          label={words.type}
          value={form.type}
          options={upstreamTypes.map((type) => ({ value: type, label: TYPE_LABELS[type] }))}
          onChange={(type) => onChange({ ...form, type }, "type")}
        />
        <p>{words.what[form.type]}</p>
      </div>
      <Field label={words.fields.name} hint={words.nameHint} error={errorOf("name")}>
        {(control) => (
          <TextInput
            {...control}
            data-first-focus={before === undefined || undefined}
            value={form.name}
            maxLength={64}
            placeholder={words.namePlaceholder}
            onChange={({ target }) => onChange({ ...form, name: target.value }, "name")}
            onBlur={() => onLeave("name")}
          />
        )}
      </Field>
      {text("address", words.addressHint[form.type], words.addressPlaceholder[form.type])}
      {form.type === "ssh" ? (
        <>
          {text("user", words.userHint)}
          {secret("password")}
          <LinesField {...props} name="identity_file" hint={words.keysHint} placeholder="~/.ssh/id_ed25519" />
        </>
      ) : (
        <>
          {text("username")}
          {secret("password")}
        </>
      )}
      {form.type === "http" && <BooleanField {...props} name="tls" hint={words.tlsHint} usually={false} />}
      <Field label={words.fields.via} hint={words.viaHint} error={errorOf("via")}>
        {(control) => (
          <Select
            {...control}
            value={chosenVia}
            onChange={({ target }) =>
              onChange({ ...form, values: { ...form.values, via: target.value } }, "via")
            }
          >
            <option value="">{words.viaNone}</option>
            {[...via, ...(chosenVia === "" || via.includes(chosenVia) ? [] : [chosenVia])].map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </Select>
        )}
      </Field>
      <KeepChoice form={form} keeping={keeping} />
      <Disclosure
        label={words.more}
        note={set.length > 0 ? words.moreSet(set.length) : undefined}
        open={open || wrong}
        onToggle={setOpen}
      >
        {form.type === "ssh" && (
          <>
            {secret("passphrase", words.passphraseHint)}
            <AgentField {...props} />
            <Field
              label={words.fields.host_key_check}
              hint={form.values.host_key_check === "off" ? words.hostKeysOff : undefined}
              error={errorOf("host_key_check")}
            >
              {(control) => (
                <Select
                  {...control}
                  value={form.values.host_key_check ?? ""}
                  onChange={({ target }) =>
                    onChange(
                      { ...form, values: { ...form.values, host_key_check: target.value } },
                      "host_key_check",
                    )
                  }
                >
                  <option value="">{words.hostKeys.default}</option>
                  {(["ask", "accept-new", "strict", "off"] as const).map((value) => (
                    <option key={value} value={value}>
                      {words.hostKeys[value]}
                    </option>
                  ))}
                </Select>
              )}
            </Field>
            <LinesField
              {...props}
              name="known_hosts_file"
              hint={words.knownHostsHint}
              placeholder="~/.ssh/known_hosts"
            />
            <BooleanField {...props} name="ssh_config" hint={words.sshConfigHint} usually />
            {form.values.ssh_config !== "false" && text("ssh_config_file", undefined, "~/.ssh/config")}
            <div className={styles["pair"]}>
              {text("keepalive_interval", words.keepaliveIntervalHint, "5s")}
              {text("keepalive_count_max", words.keepaliveCountHint, "3")}
            </div>
          </>
        )}
        {form.type === "socks5" && <BooleanField {...props} name="udp" hint={words.udpHint} usually />}
        {form.type === "http" && (
          <>
            {text("tls_ca_file", undefined, "/etc/ssl/corp.pem")}
            {text("tls_server_name", words.tlsNameHint, "proxy.example.com")}
          </>
        )}
        <div className={styles["pair"]}>
          {text("pool_size", form.type === "ssh" ? words.poolHint.ssh : words.poolHint.proxy, "1")}
          <Field label={words.fields.strategy} error={errorOf("strategy")}>
            {(control) => (
              <Select
                {...control}
                value={form.values.strategy ?? ""}
                onChange={({ target }) =>
                  onChange({ ...form, values: { ...form.values, strategy: target.value } }, "strategy")
                }
              >
                <option value="">{words.strategies["round-robin"]}</option>
                <option value="least-connections">{words.strategies["least-connections"]}</option>
              </Select>
            )}
          </Field>
        </div>
      </Disclosure>
    </>
  );
}

const TYPE_LABELS = { ssh: "SSH", socks5: "SOCKS5", http: "HTTP" } as const;

function isSet(form: UpstreamForm, field: ValueName | SecretName): boolean {
  if (field === "password" || field === "passphrase") return form.secrets[field].kind !== "none";
  return (form.values[field] ?? "").trim() !== "";
}

type OneField<Name extends ValueName> = EditorFieldsProps & {
  readonly name: Name;
  readonly hint?: ReactNode;
  readonly placeholder?: string | undefined;
};

/** Addresses, paths and numbers are easier to check in letters of one width. */
function ValueField({ form, name, hint, placeholder, errorOf, onChange, onLeave }: OneField<ValueName>) {
  const words = useText().upstreams.editor;
  return (
    <Field label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(control) => (
        <TextInput
          {...control}
          mono={name !== "user" && name !== "username"}
          value={form.values[name] ?? ""}
          maxLength={1024}
          placeholder={placeholder}
          onChange={({ target }) =>
            onChange({ ...form, values: { ...form.values, [name]: target.value } }, name)
          }
          onBlur={() => onLeave(name)}
        />
      )}
    </Field>
  );
}

function LinesField({
  form,
  name,
  hint,
  placeholder,
  errorOf,
  onChange,
}: OneField<"identity_file" | "known_hosts_file">) {
  const words = useText().upstreams.editor;
  const value = form.values[name] ?? "";
  return (
    <Field label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(control) => (
        <TextArea
          {...control}
          rows={Math.min(6, Math.max(1, value.split("\n").length))}
          value={value}
          maxLength={8192}
          placeholder={placeholder}
          onChange={({ target }) =>
            onChange({ ...form, values: { ...form.values, [name]: target.value } }, name)
          }
        />
      )}
    </Field>
  );
}

function BooleanField({
  form,
  name,
  hint,
  usually,
  errorOf,
  onChange,
}: OneField<"ssh_config" | "udp" | "tls"> & { readonly usually: boolean }) {
  const words = useText().upstreams.editor;
  const value = form.values[name] ?? "";
  return (
    <SettingRow label={words.fields[name]} hint={hint} error={errorOf(name)}>
      {(ids) => (
        <Switch
          {...ids}
          checked={value === "" ? usually : value === "true"}
          onChange={(checked) => {
            const next = checked === usually ? "" : String(checked);
            onChange({ ...form, values: { ...form.values, [name]: next } }, name);
          }}
        />
      )}
    </SettingRow>
  );
}

function AgentField({ form, errorOf, onChange }: EditorFieldsProps) {
  const words = useText().upstreams.editor;
  const value = form.values.agent ?? "";
  const [socket, setSocket] = useState(value !== "" && value !== "false");
  const choice = socket ? "socket" : value === "false" ? "none" : "default";
  const change = (agent: string) => onChange({ ...form, values: { ...form.values, agent } }, "agent");
  return (
    <>
      <Field label={words.fields.agent} error={socket ? undefined : errorOf("agent")}>
        {(control) => (
          <Select
            {...control}
            value={choice}
            onChange={({ target }) => {
              setSocket(target.value === "socket");
              change(target.value === "none" ? "false" : "");
            }}
          >
            {(["default", "none", "socket"] as const).map((one) => (
              <option key={one} value={one}>
                {words.agents[one]}
              </option>
            ))}
          </Select>
        )}
      </Field>
      {socket && (
        <Field label={words.agentSocket} error={errorOf("agent")}>
          {(control) => (
            <TextInput
              {...control}
              mono
              value={value}
              maxLength={1024}
              onChange={({ target }) => change(target.value)}
            />
          )}
        </Field>
      )}
    </>
  );
}
