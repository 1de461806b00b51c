{#- An e-mail address as a token of all of it and the class of its domain, never the domain; NULL for what is none. -#}
{% macro email_token(email) -%}
    {{ tokenise(email, 'email') }} || ':' || {{ email_domain_class(email) }}
{%- endmacro %}

{#- free_mail, disposable, education, government, reserved, or else company; NULL for what is no address. -#}
{% macro email_domain_class(email) -%}
    {%- set domain = first_match('lower(' ~ normalised(email) ~ ')', '^[^@[:space:]]+@([^@[:space:]]+?)[.]?$') -%}
    {{ named(domain, 'domain', class_of_domain('domain')) }}
{%- endmacro %}

{% macro class_of_domain(domain) -%}
    case
        when {{ domain }} = '' or {{ domain }} is null then null
        {%- for class, domains in email_domains().items() %}
        when {{ in_words(domain, "['" ~ domains | join("', '") ~ "']") }} then '{{ class }}'
        {%- endfor %}
        {%- for class, pattern in email_domain_patterns().items() %}
        when {{ matches(domain, pattern) }} then '{{ class }}'
        {%- endfor %}
        else 'company'
    end
{%- endmacro %}

{#- Public mail providers, and hosts of addresses to throw away, that make up most of what is seen. Not SQL. -#}
{% macro email_domains() -%}
    {{ return({
        'free_mail': [
            'gmail.com', 'googlemail.com', 'yahoo.com', 'yahoo.co.uk', 'yahoo.fr', 'yahoo.de', 'yahoo.es', 'yahoo.it',
            'yahoo.co.in', 'yahoo.co.jp', 'yahoo.com.br', 'ymail.com', 'rocketmail.com', 'hotmail.com', 'hotmail.co.uk',
            'hotmail.fr', 'hotmail.de', 'hotmail.es', 'hotmail.it', 'outlook.com', 'outlook.fr', 'outlook.de',
            'outlook.es', 'live.com', 'live.co.uk', 'live.fr', 'live.nl', 'msn.com', 'icloud.com', 'me.com', 'mac.com',
            'aol.com', 'aim.com', 'proton.me', 'protonmail.com', 'pm.me', 'tutanota.com', 'tuta.io', 'tuta.com',
            'gmx.de', 'gmx.net', 'gmx.at', 'gmx.ch', 'gmx.com', 'web.de', 'freenet.de', 't-online.de', 'posteo.de',
            'mailbox.org', 'orange.fr', 'wanadoo.fr', 'free.fr', 'laposte.net', 'sfr.fr', 'libero.it', 'virgilio.it',
            'tiscali.it', 'alice.it', 'wp.pl', 'o2.pl', 'onet.pl', 'interia.pl', 'op.pl', 'seznam.cz', 'email.cz',
            'centrum.cz', 'mail.ru', 'yandex.ru', 'yandex.com', 'rambler.ru', 'bk.ru', 'inbox.ru', 'list.ru', 'ukr.net',
            'qq.com', '163.com', '126.com', 'sina.com', 'foxmail.com', 'naver.com', 'daum.net', 'hanmail.net',
            'rediffmail.com', 'uol.com.br', 'bol.com.br', 'terra.com.br', 'zoho.com', 'fastmail.com', 'hey.com',
            'mail.com', 'btinternet.com', 'sky.com', 'comcast.net', 'verizon.net', 'att.net', 'sbcglobal.net', 'cox.net',
            'bigpond.com', 'telenet.be', 'skynet.be', 'ziggo.nl', 'kpnmail.nl', 'bluewin.ch',
        ],
        'disposable': [
            'mailinator.com', 'guerrillamail.com', 'guerrillamail.net', 'sharklasers.com', 'grr.la', '10minutemail.com',
            'temp-mail.org', 'tempmail.com', 'tempmail.dev', 'yopmail.com', 'yopmail.fr', 'throwawaymail.com',
            'trashmail.com', 'trashmail.de', 'getnada.com', 'maildrop.cc', 'dispostable.com', 'mailnesia.com',
            'mintemail.com', 'mohmal.com', 'emailondeck.com', 'fakeinbox.com', 'spamgourmet.com', 'mytemp.email',
            'discard.email', 'burnermail.io', 'moakt.com', 'mailcatch.com', 'wegwerfmail.de', 'einrot.com',
        ],
    }) }}
{%- endmacro %}

{#- Registries that give names to one kind of holder only. Not SQL. -#}
{% macro email_domain_patterns() -%}
    {{ return({
        'education': '(^|[.])(edu|(ac|edu)[.][a-z][a-z])$',
        'government': '(^|[.])(gov|mil|int|(gov|gob|gouv|govt|go|gv|gc|mil)[.][a-z][a-z]|europa[.]eu|bund[.]de|admin[.]ch)$',
        'reserved': '(^|[.])(example([.](com|net|org))?|test|invalid|localhost|local|internal)$',
    }) }}
{%- endmacro %}
