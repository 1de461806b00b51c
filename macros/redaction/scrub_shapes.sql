{#- Kinds of personal data that their shape alone gives away, in the order in which they are marked. Patterns are RE2's:
    none can look ahead or back. Not SQL: patterns by mark. -#}
{% macro marks_by_shape() -%}
    {%- set word = '[^\\s<>()\\[\\]{}",;:@|=]' -%}
    {%- set at = '(?:at|AT|ät|arroba|arobase|małpa|@)' -%}
    {%- set dot = '(?:dot|DOT|punkt|Punkt|punto|point|kropka)' -%}
    {%- set byte = '(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])' -%}
    {%- set degrees = '[0-9]{1,3}(?:[.,][0-9]+)? ?°(?: ?[0-9]{1,2}(?:[.,][0-9]+)? ?[\\x27′’])?(?: ?[0-9]{1,2}(?:[.,][0-9]+)? ?(?:["″”]|[\\x27′’]{2}))?' -%}
    {{ return({
        'key': [
            '(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)',
            'eyJ[A-Za-z0-9_-]{5,}\\.[A-Za-z0-9_-]+(?:\\.[A-Za-z0-9_-]*)?',
            '\\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA|ANVA)[A-Z0-9]{12,}',
            '\\b(?:gh[pousr]_|github_pat_|glpat-|npm_|xox[a-z]-|xapp-|AIza|ya29\\.|SG\\.|sk-|dop_v1_|hf_|EAACEdEose0cBA)[A-Za-z0-9_.-]{10,}',
            '\\b(?:sk|pk|rk|tok|cus|acct)_(?:live|test)_[A-Za-z0-9_]+|\\bwhsec_[A-Za-z0-9]+',
            '(?i)(?:\\bauthorization["\\x27]? ?[:=] ?["\\x27]?)?\\b(?:bearer|basic) +[A-Za-z0-9+/_.=~-]{8,}',
            '(?i)\\b(?:[a-z0-9]+[_-])*(?:(?:api|access|secret|client|private)[ _-]?key|key|token|secret|password|passwort|kennwort|passwd|passphrase|pwd|hasło|contraseña|mot de passe)["\\x27]? ?[:=] ?["\\x27]?[^\\s"\\x27,;]+',
        ],
        'url': [
            '(?i)\\b[a-z][a-z0-9+.-]{1,20}://[^\\s<>"]+',
            '(?i)\\bwww\\.[^\\s<>"]+',
        ],
        'encoded': [
            '[^\\s]*%[0-9A-Fa-f]{2}[^\\s]*',
            '[^\\s]*\\\\u[0-9A-Fa-f]{4}[^\\s]*',
            '[^\\s]*&(?:#x?[0-9A-Fa-f]+|commat|period);[^\\s]*',
        ],
        'email': [
            '(?i)(?:\\bmailto:)?(?:"[^"\\n]{1,64}"|' ~ word ~ '+)@' ~ word ~ '+',
            word ~ '+ ?@ ?' ~ word ~ '+\\.[A-Za-z]{2,}',
            word ~ '+ ?[\\[({<] ?' ~ at ~ ' ?[\\])}>] ?' ~ word ~ '+(?:(?: ?[\\[({<] ?' ~ dot ~ ' ?[\\])}>] ?| ' ~ dot ~ ' )' ~ word ~ '+)*',
            word ~ '+ ' ~ at ~ ' ' ~ word ~ '+(?: ' ~ dot ~ ' ' ~ word ~ '+)+',
            word ~ '+ ?[\\[({<] ?' ~ dot ~ ' ?[\\])}>] ?' ~ word ~ '+',
        ],
        'ip': [
            '(?i)\\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\\b(?:%[0-9a-z]+)?',
            '(?i)\\b(?:[0-9a-f]{1,4}:){6}(?:[0-9]{1,3}\\.){3}[0-9]{1,3}\\b',
            '(?i)[0-9a-f:]*::(?:[0-9a-f]{1,4}:)*' ~ byte ~ '(?:\\.' ~ byte ~ '){3}\\b',
            '\\b' ~ byte ~ '(?:\\.' ~ byte ~ '){3}\\b(?::[0-9]{1,5}\\b|/[0-9]{1,2}\\b)?',
        ],
        'mac': [
            '(?i)\\b[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}\\b',
        ],
        'coordinates': [
            '(?i)(?:[NSEWO] ?)?' ~ degrees ~ ' ?[NSEWO]?\\b[ ,;/]*(?:[NSEWO] ?)?' ~ degrees ~ '(?: ?[NSEWO]\\b)?',
            '[+-]?\\b[0-9]{1,2}\\.[0-9]{4,}(?: ?[,;/] ?|\\s)[+-]?[0-9]{1,3}\\.[0-9]{4,}\\b',
            '[+-]?\\b[0-9]{1,2},[0-9]{4,}(?: ?[;/] ?|\\s)[+-]?[0-9]{1,3},[0-9]{4,}\\b',
            '(?i)\\b(?:lat|lon|lng|latitude|longitude|breite|länge|latitud|longitud|szer|dł)[a-z.]{0,10}["\\x27]? ?[:=]? ?[+-]?[0-9]{1,3}[.,][0-9]{3,}',
        ],
        'id': [
            '(?i)\\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z][ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[0-9]{2}[ -]?[A-D]\\b',
            '(?i)\\b[A-Z]{3} ?[A-Z]{3} ?[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2} ?[A-Z][0-9LMNP-V]{3} ?[A-Z]\\b',
            '(?i)\\b(?:ssn|social security(?: number)?|sozialversicherungsnummer|steuer-?id(?:nr)?|pesel|cpf|nir|insee|dni|nie|passport|reisepass)[^0-9\\n\\]]{0,12}[0-9][0-9 ./-]{5,}[0-9](?: ?-?[A-Z]\\b)?',
        ],
        'phone': [
            '(?i)\\b(?:tel|fon|telefon|phone|mobile|mobil|handy|fax|whatsapp|téléphone|portable|teléfono|móvil|komórka)\\b[^0-9+\\n\\]]{0,12}[+(]?[0-9][0-9 ()./-]{5,}[0-9]',
        ],
    }) }}
{%- endmacro %}
